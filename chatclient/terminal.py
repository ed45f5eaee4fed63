"""Where a person, or a script, types and reads.

A real terminal has a line editor, with history and completion, which is not torn by what is shown
meanwhile. Pipes and files have plain lines.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.output import create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.patch_stdout import patch_stdout

from .streams import output_error, pieces_of_input, write_error, write_output

MAX_LINE: Final = 64 * 1024
"""Characters of a line that is worth trying to say; the chat carries 4,000. Of a longer one, which
may have no end, nothing is said or done."""

MAX_LINES: Final = 100
"""Lines that are read ahead of what has been sent."""


class Terminal(Protocol):
    """What the program needs of a terminal. All but `lines` and `ask` may come from any thread."""

    def ask(self, question: str) -> str | None:
        """A line of input; None at its end. Raises StreamError."""
        ...

    def lines(self) -> Generator[str, None, None]:
        """What is typed, line by line, until the input ends or `stop` is called.

        Raises KeyboardInterrupt on Ctrl+C, StreamError.
        """
        ...

    def stop(self) -> None:
        """Let `lines` end."""
        ...

    def show(self, text: str) -> None:
        """Write a line, in one piece whichever threads write. Raises StreamError."""
        ...

    def complain(self, text: str) -> None:
        """Write a line to standard error."""
        ...


class PlainTerminal:
    """Pipes, files, a terminal of which only one end is one, and one that can only scroll.

    A thread reads, so that waiting for input can be stopped.
    """

    def __init__(self, *, echoes: bool = False) -> None:
        """`echoes`: what is typed is seen where the output is."""
        self._echoes = echoes
        self._writing = threading.Lock()
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_LINES)
        self._failure: Exception | None = None
        self._stopped = False
        threading.Thread(target=self._read, name="chatclient input", daemon=True).start()

    def ask(self, question: str) -> str | None:
        """A line of input, asked for with `question`; None at the end of the input. The answer is
        written, too, if a terminal has not shown it."""
        self._write(question)
        answer = self._next_line()
        if answer is None or not self._echoes:
            self._write(f"{answer or ''}\n")
        return answer

    def lines(self) -> Generator[str, None, None]:
        """What is typed, line by line, until the input ends or `stop` is called."""
        while not self._stopped and (line := self._next_line()) is not None:
            yield line

    def stop(self) -> None:
        """Let `lines` end."""
        self._stopped = True
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            pass  # Then nobody waits for a line.

    def show(self, text: str) -> None:
        """Write a line, in one piece whichever threads write."""
        self._write(f"{text}\n")

    def complain(self, text: str) -> None:
        """Write a line to standard error."""
        write_error(f"{text}\n")

    def _write(self, text: str) -> None:
        with self._writing:  # A pipe that is almost full takes a line in pieces.
            write_output(text)

    def _next_line(self) -> str | None:
        line = self._lines.get()
        if line is None and self._failure is not None:
            raise self._failure
        return line

    def _read(self) -> None:
        try:
            for line in split_lines(pieces_of_input()):
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


class PromptTerminal:
    """A terminal with a line editor; what is shown appears above the line being typed."""

    def __init__(self, commands: Sequence[str], names: Iterable[str]) -> None:
        """`commands` and `names` can be completed; `names` is asked each time."""
        self._output = create_output()
        if isinstance(self._output, Vt100_Output):
            # Not asked where its cursor is, a terminal that cannot say needs no warning, and the
            # answer of one that can never ends up in the shell.
            self._output.enable_cpr = False
        self._session: PromptSession[str] = PromptSession(
            completer=Words(commands, names),
            complete_while_typing=False,
            enable_suspend=True,
            output=self._output,
        )
        self._stopped = False

    def ask(self, question: str) -> str | None:
        """A line of input, asked for with `question`; None at the end of the input."""
        return self._prompt(PromptSession(enable_suspend=True, output=self._output), question)

    def lines(self) -> Generator[str, None, None]:
        """What is typed, line by line, until the input ends or `stop` is called."""
        with patch_stdout():
            while (line := self._prompt(self._session, "> ")) is not None:
                yield line

    def _prompt(self, session: PromptSession[str], text: str) -> str | None:
        try:
            return session.prompt(text, pre_run=self._leave_if_stopped)
        except EOFError:
            return None
        except OSError as error:
            raise output_error(error) from error  # The terminal is gone.

    def show(self, text: str) -> None:
        """Write a line, in one piece whichever threads write."""
        try:
            print(f"{text}\n", end="", flush=True)
        except OSError as error:
            raise output_error(error) from error

    def complain(self, text: str) -> None:
        """Write a line to standard error."""
        with suppress(OSError):  # There is nobody left to tell; the exit status says it, too.
            print(f"{text}\n", end="", file=sys.stderr, flush=True)

    def stop(self) -> None:
        """Let `lines` end."""
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
