"""Where a person, or a script, types and reads.

A real terminal has a line editor, with history and completion, which is not torn by what is shown
meanwhile. Pipes and files have plain lines.
"""

from __future__ import annotations

import codecs
import os
import queue
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Final, Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.output import create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.patch_stdout import patch_stdout

READ_SIZE: Final = 64 * 1024
"""Bytes that are read from a pipe at once: what it holds on Linux."""

MAX_LINE: Final = 64 * 1024
"""Characters after which a line without an end is taken as one; the chat carries 4,000."""

MAX_LINES: Final = 100
"""Lines that are read ahead of what has been sent."""


class Terminal(Protocol):
    """What the program needs of a terminal. All but `lines` and `ask` may come from any thread."""

    def ask(self, question: str) -> str | None:
        """A line of input; None at its end."""
        ...

    def lines(self) -> Generator[str, None, None]:
        """What is typed, line by line, until the input ends or `stop` is called.

        Raises KeyboardInterrupt on Ctrl+C.
        """
        ...

    def stop(self) -> None:
        """Let `lines` end."""
        ...

    def show(self, text: str) -> None:
        """Write a line. Raises BrokenPipeError if nobody reads."""
        ...

    def complain(self, text: str) -> None:
        """Write a line to standard error."""
        ...


class Output:
    """Writing lines, common to both; each in one piece, whichever threads write."""

    def show(self, text: str) -> None:
        """See `Terminal`."""
        print(f"{text}\n", end="", flush=True)

    def complain(self, text: str) -> None:
        """See `Terminal`."""
        print(f"{text}\n", end="", file=sys.stderr, flush=True)


class PlainTerminal(Output):
    """Pipes, files, and a terminal of which only one end is one.

    A thread reads, so that waiting for input can be stopped. It bypasses `sys.stdin`, whose lock,
    held by a blocked thread, would be fatal when the interpreter ends.
    """

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_LINES)
        self._stopped = False
        threading.Thread(target=self._read, name="chatclient input", daemon=True).start()

    def ask(self, question: str) -> str | None:
        """See `Terminal`. The answer is written, too, as a terminal would have shown it."""
        print(question, end="", flush=True)
        answer = self._lines.get()
        print("" if answer is None else answer, flush=True)
        return answer

    def lines(self) -> Generator[str, None, None]:
        """See `Terminal`."""
        while not self._stopped and (line := self._lines.get()) is not None:
            yield line

    def stop(self) -> None:
        """See `Terminal`."""
        self._stopped = True
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            pass  # Then nobody waits for a line.

    def _read(self) -> None:
        for line in split_lines(self._decoded()):
            self._lines.put(line)
        self._lines.put(None)

    def _decoded(self) -> Iterator[str]:
        if sys.stdin is None:
            return  # It was closed before we started.
        decoder = codecs.getincrementaldecoder(sys.stdin.encoding)(errors="replace")
        while data := os.read(sys.stdin.fileno(), READ_SIZE):
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)


def split_lines(pieces: Iterable[str]) -> Iterator[str]:
    """The lines of a text that comes in pieces, without their ends."""
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            yield line.removesuffix("\r")
        if len(rest) > MAX_LINE:
            yield rest
            rest = ""
    if rest:
        yield rest


class PromptTerminal(Output):
    """A terminal with a line editor; what is shown appears above the line being typed."""

    def __init__(self, commands: Sequence[str], names: Iterable[str]) -> None:
        """`commands` and `names` can be completed; `names` is asked each time."""
        self._output = create_output()
        if isinstance(self._output, Vt100_Output):
            # Not asked where its cursor is, a terminal that cannot say needs no warning, and the
            # answer of one that can never ends up in the shell.
            self._output.enable_cpr = False
        self._session: PromptSession[str] = PromptSession(
            completer=Words(commands, names), complete_while_typing=False, output=self._output
        )
        self._stopped = False

    def ask(self, question: str) -> str | None:
        """See `Terminal`."""
        return self._prompt(PromptSession(output=self._output), question)

    def lines(self) -> Generator[str, None, None]:
        """See `Terminal`."""
        with patch_stdout():
            while (line := self._prompt(self._session, "> ")) is not None:
                yield line

    def _prompt(self, session: PromptSession[str], text: str) -> str | None:
        try:
            return session.prompt(text, pre_run=self._leave_if_stopped)
        except EOFError:
            return None

    def stop(self) -> None:
        """See `Terminal`."""
        self._stopped = True
        loop = self._session.app.loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._leave_if_stopped)
            except RuntimeError:
                pass  # The prompt has just ended; there will be no other.

    def _leave_if_stopped(self) -> None:
        app = self._session.app
        if self._stopped and app.is_running and not app.is_done:
            app.exit(exception=EOFError())


class Words(Completer):
    """Completes commands at the start of a line, and names everywhere."""

    def __init__(self, commands: Sequence[str], names: Iterable[str]) -> None:
        self._commands = commands
        self._names = names

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """The words that begin as the one before the cursor."""
        before = document.text_before_cursor
        begun = before.rsplit(" ", 1)[-1]
        words = self._commands if before.startswith("/") and " " not in before else self._names
        if begun:
            for word in sorted(words, key=str.casefold):
                if word.casefold().startswith(begun.casefold()):
                    yield Completion(word, start_position=-len(begun))
