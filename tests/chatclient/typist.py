"""The terminal program in this process, with somebody who types and sees lines: for what needs no
screen and no process of its own."""

import queue
import threading
from collections.abc import Callable
from types import TracebackType

from chatclient import ChatClient
from chatclient.looks import Ink, Line
from chatclient.program import Program
from chatclient.showing import Showing, Wishes
from tests.processes import DEADLINE, wait_until

PLAIN = Ink((), plain=True)


class Typist:
    """A `Terminal` and who sits at it. What is shown is in `lines`, in the order of its showing."""

    def __init__(
        self,
        *,
        width: int | None = 80,
        names: list[str] | None = None,
        wishes: Wishes | None = None,
    ) -> None:
        self.lines: list[str] = []
        self.given_back: list[str] = []
        self.bells = 0
        self._width = width
        self._names = names or []
        self._typed: queue.Queue[str | None] = queue.Queue()
        self.wishes = wishes or Wishes()
        self.program = Program(set(), interactive=width is not None)
        self.showing = Showing(self, PLAIN, self.wishes, interactive=width is not None)
        self.status: int | None = None

    def start(
        self,
        url: str,
        name: str | None,
        *,
        room: str | None = None,
        history: int = 20,
        wait: float = 0,
        token: str | None = None,
    ) -> None:
        """Come into the chat at `url`, by the name or by the token: `chat`."""

        def join(name: str) -> ChatClient:
            by = None if token else name
            self.chat = ChatClient(url, by, token=token, on_status=self.program.show_status)
            return self.chat

        def run() -> None:
            self.status = self.program.run(
                self, self.showing, name, join, room=room, history=history, wait=wait
            )

        self._thread = threading.Thread(target=run)
        self._thread.start()
        self.sees("Type a message and press Enter (or /quit to leave):")

    def types(self, *lines: str) -> None:
        """Type lines."""
        for line in lines:
            self._typed.put(line)

    def sees(self, *wanted: str) -> None:
        """Wait until these lines are among those shown, in this order."""

        def seen() -> bool:
            lines = iter("\n".join(self.lines).split("\n"))
            return all(any(line == one for line in lines) for one in wanted)

        try:
            wait_until(seen)
        except AssertionError:
            raise AssertionError(f"not shown: {wanted}\n" + "\n".join(self.lines)) from None

    def __enter__(self) -> "Typist":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._typed.put(None)
        self._thread.join(DEADLINE)

    # ---- A `Terminal`

    def ask(self, question: str) -> str | None:
        """Answers with the names, one after another."""
        return self._names.pop(0) if self._names else None

    def run(self, obey: Callable[[str], None]) -> None:
        """Hands over what was typed."""
        while (line := self._typed.get()) is not None:
            obey(line)

    def stop(self) -> None:
        """Nothing more is typed."""
        self._typed.put(None)

    def show(self, *lines: Line) -> None:
        """Keeps lines."""
        self.lines.append(PLAIN.lay(lines, self._width).removesuffix("\n"))

    def complain(self, *lines: Line) -> None:
        """Keeps lines."""
        self.show(*lines)

    def pace(self) -> None:
        """Nothing waits."""

    def put_back(self, line: str) -> None:
        """Keeps what was given back."""
        self.given_back.append(line)

    def refresh(self) -> None:
        """There is no screen."""

    def ring(self) -> None:
        """Counts."""
        self.bells += 1
