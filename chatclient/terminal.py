"""Where a person, or a script, types and reads: what the program needs of it, and plain lines, for
pipes, files, and terminals that can do no more. `prompt.py` is the line editor of a real one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from .looks import Ink, Line, columns, plain
from .streams import pieces_of_input, write_error, write_output

MAX_LINE: Final = 64 * 1024
"""Characters of a line that is worth trying to say; the chat carries 4,000. Of a longer one, which
may have no end, nothing is said or done."""

MAX_LINES: Final = 100
"""Lines that are read ahead of what has been sent."""


class Terminal(Protocol):
    """What the program needs of a terminal. All but `run`, `ask` and `put_back` may come from any
    thread."""

    def ask(self, question: str) -> str | None:
        """A line of input; None at its end. Raises StreamError."""
        ...

    def run(self, obey: Callable[[str], None]) -> None:
        """Call `obey` with what is typed, line by line, until the input ends, `obey` raises, or
        `stop` is called.

        Raises what `obey` does, KeyboardInterrupt on Ctrl+C, StreamError.
        """
        ...

    def stop(self) -> None:
        """Let `run` end."""
        ...

    def show(self, *lines: Line) -> None:
        """Write lines, in one piece whichever threads write. Raises StreamError."""
        ...

    def complain(self, *lines: Line) -> None:
        """Write lines about something that is wrong: to standard error, where that is another
        place."""
        ...

    def pace(self) -> None:
        """Wait until much of what was shown is written."""
        ...

    def put_back(self, line: str) -> None:
        """Give a line back to whoever typed it."""
        ...

    def refresh(self) -> None:
        """Show the prompt anew, which has changed."""
        ...

    def ring(self) -> None:
        """Ring the terminal's bell."""
        ...


class PlainTerminal:
    """Pipes, files, a terminal of which only one end is one, and one that can only scroll.

    A thread reads, so that waiting for input can be stopped.
    """

    def __init__(
        self,
        ink: Ink,
        *,
        source: Iterable[str] | None = None,
        echoes: bool = False,
        quiet: bool = False,
        asks: Callable[[str], None] = write_output,
    ) -> None:
        """Lines come from `source`, or from standard input. `echoes`: what is typed is seen where
        the output is. What is `quiet` shows nothing. Questions are written by `asks`."""
        self._ink = ink
        self._source = source
        self._echoes = echoes
        self._quiet = quiet
        self._asks = asks
        self._writing = threading.Lock()
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_LINES)
        self._failure: Exception | None = None
        self._stopped = False
        threading.Thread(target=self._read, name="chatclient input", daemon=True).start()

    def ask(self, question: str) -> str | None:
        """A line of input, asked for with `question`; None at the end of the input. The answer is
        written, too, if a terminal has not shown it."""
        self._asks(question)
        answer = self._next_line()
        if answer is None or not self._echoes:
            self._asks(f"{answer or ''}\n")
        return answer

    def run(self, obey: Callable[[str], None]) -> None:
        """Call `obey` with each line of input until it ends, or `stop` is called."""
        while not self._stopped and (line := self._next_line()) is not None:
            obey(line)

    def stop(self) -> None:
        """Let `run` end."""
        self._stopped = True
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            pass  # Then nobody waits for a line.

    def show(self, *lines: Line) -> None:
        """Write lines, in one piece whichever threads write; on a screen, wrapped at words."""
        if not self._quiet:
            with self._writing:  # A pipe that is almost full takes a line in pieces.
                write_output(self._laid(lines))

    def complain(self, *lines: Line) -> None:
        """Write lines to standard error."""
        write_error(self._laid(lines))

    def pace(self) -> None:
        """What was shown is written."""

    def put_back(self, line: str) -> None:
        """A line that was typed cannot be typed anew; it is shown."""
        self.show(*plain(line))

    def refresh(self) -> None:
        """There is no prompt."""

    def ring(self) -> None:
        """Ring the bell, where it is heard."""
        if self._echoes:
            write_output("\a")

    def _laid(self, lines: Sequence[Line]) -> str:
        return self._ink.lay(lines, columns() if self._echoes else None)

    def _next_line(self) -> str | None:
        line = self._lines.get()
        if line is None and self._failure is not None:
            raise self._failure
        return line

    def _read(self) -> None:
        try:
            for line in self._source or split_lines(pieces_of_input()):
                self._lines.put(line)
        except Exception as error:
            self._failure = error  # For whoever waits for a line.
        self._lines.put(None)


def split_lines(pieces: Iterable[str]) -> Iterator[str]:
    """The lines of a text that comes in pieces, without their ends.

    Of a line that is longer than MAX_LINE there may be a beginning alone, which is longer, too.
    """
    rest = ""
    for piece in pieces:
        *lines, end = piece.split("\n")
        for line in lines:
            # What is too long already grows no more.
            yield (rest if len(rest) > MAX_LINE else rest + line).removesuffix("\r")
            rest = ""
        if len(rest) <= MAX_LINE:
            rest += end
    if rest:
        yield rest
