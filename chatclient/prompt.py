"""A terminal with a line editor, which is not torn by what is shown meanwhile.

The editor runs in the main thread, in one loop from the first line to the last: no key waits for
anything but the loop. What is shown comes from other threads, and is written by the loop, gathered:
the line is taken away, the text written, and the line drawn again below it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.application.current import get_app_session
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, has_completions, is_done
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import ConditionalContainer, HSplit, Layout, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from .completion import Words
from .display import harmless
from .looks import Ink, Line, plain
from .redraw import Shown
from .streams import output_error

GATHERED_SECONDS: Final = 0.05
"""Pause between two writes: short enough for an eye, and long enough that thousands of lines in a
second cost no more than twenty drawings of the line."""

MAX_PENDING: Final = 500
"""Lines that wait to be written before whoever shows them should wait."""


class Draft(Protocol):
    """What the editor asks about the line that is typed, and tells of keys."""

    def prompt(self) -> str:
        """What stands before the line."""
        ...

    def bottom(self) -> str:
        """What stands below it, "" for nothing."""
        ...

    def turn(self, step: int) -> None:
        """Go to the next room, or to the one before."""
        ...

    def turn_to(self, number: int) -> None:
        """Go to the room with this number."""
        ...


class PromptTerminal:
    """A terminal with a line editor; what is shown appears above the line being typed."""

    def __init__(self, words: Words, draft: Draft, ink: Ink) -> None:
        """`words` are completed; lines are written with `ink`."""
        self._draft = draft
        self._output = get_app_session().output
        if isinstance(self._output, Vt100_Output):
            # Not asked where its cursor is, a terminal that cannot say needs no warning, and the
            # answer of one that can never ends up in the shell.
            self._output.enable_cpr = False
        self._session: PromptSession[None] = PromptSession(
            message=self._message,
            completer=words,
            complete_while_typing=False,
            enable_suspend=True,
            key_bindings=self._keys(),
            output=self._output,
            color_depth=None if ink.coloured else ColorDepth.DEPTH_1_BIT,
        )
        app = self._session.app
        app.erase_when_done = True
        app.layout = Layout(
            HSplit([app.layout.container, self._bottom()]), self._session.default_buffer
        )
        self._obey: Callable[[str], None] = lambda line: None
        self._changed = threading.Condition()
        self._shown = Shown(app, self._output, ink)
        self._pending: deque[Line] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # While the editor runs.
        self._scheduled = False
        self._stale = False
        self._put_back = ""
        self._stopped = False

    # ---- What the program asks for

    def ask(self, question: str) -> str | None:
        """A line of input, asked for with `question`; None at the end of the input."""
        session: PromptSession[str] = PromptSession(enable_suspend=True, output=self._output)
        try:
            answer = session.prompt(question)
        except EOFError:
            return None
        except OSError as error:
            raise output_error(error) from error  # The terminal is gone.
        self._shown.take(plain(f"{question}{answer}"))
        return answer

    def run(self, obey: Callable[[str], None]) -> None:
        """Call `obey` with each line that is typed, until it raises, or `stop` is called."""
        self._obey = obey
        # PromptSession ends with each line unless its buffer is told otherwise.
        self._session.default_buffer.accept_handler = self._accept
        try:
            self._session.prompt(pre_run=self._begin)
        except EOFError:
            pass
        except OSError as error:
            raise output_error(error) from error
        finally:
            with self._changed:
                self._loop = None
                self._changed.notify_all()
            self._write_now()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopped = True
        self._in_loop(self._leave_if_stopped)

    def show(self, *lines: Line) -> None:
        """Write lines soon, in one piece whichever threads write; never blocks for long."""
        with self._changed:
            self._pending.extend(lines)
            loop, scheduled = self._loop, self._scheduled
            self._scheduled = loop is not None
        if loop is None:
            self._write_now()
        elif not scheduled:
            self._in_loop(self._write_above)

    def complain(self, *lines: Line) -> None:
        """Write lines about something that is wrong. On a terminal, errors stand with the rest."""
        self.show(*lines)

    def pace(self) -> None:
        """Wait until what was shown is written but for a little, unless nobody writes it."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._pending) < MAX_PENDING or self._loop is None)

    def put_back(self, line: str) -> None:
        """Let the next line begin with this; only while a line is obeyed."""
        self._put_back = line

    def refresh(self) -> None:
        """The prompt, or what stands at the bottom, has changed; it is drawn soon."""
        with self._changed:
            self._stale = True
            scheduled, self._scheduled = self._scheduled, self._loop is not None
        if not scheduled:
            self._in_loop(self._write_above)

    def ring(self) -> None:
        """Ring the terminal's bell."""
        self._in_loop(self._output.bell)

    # ---- What happens in the loop

    def _message(self) -> StyleAndTextTuples:
        return [("", self._draft.prompt())]

    def _bottom(self) -> ConditionalContainer:
        def text() -> StyleAndTextTuples:
            return [("dim", self._draft.bottom())]

        window = Window(FormattedTextControl(text), height=1, dont_extend_height=True)
        shown = Condition(lambda: bool(self._draft.bottom()))
        return ConditionalContainer(window, shown & ~is_done)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            """Clear the line; an empty one is left."""
            if event.current_buffer.text:
                event.current_buffer.reset()
            else:
                self._do("/quit")

        @keys.add("c-d", filter=Condition(lambda: not self._session.default_buffer.text))
        def _(event: KeyPressEvent) -> None:
            self._do("/quit")

        @keys.add("c-n", filter=~has_completions)
        def _(event: KeyPressEvent) -> None:
            self._draft.turn(1)

        @keys.add("c-p", filter=~has_completions)
        def _(event: KeyPressEvent) -> None:
            self._draft.turn(-1)

        for digit in range(1, 10):

            @keys.add("escape", str(digit))
            def _(event: KeyPressEvent, digit: int = digit) -> None:
                self._draft.turn_to(digit)

        return keys

    def _begin(self) -> None:
        with self._changed:
            self._loop = asyncio.get_running_loop()
        self._write_above()
        self._leave_if_stopped()

    def _accept(self, buffer: Buffer) -> bool:
        """Enter was pressed; whether the line keeps its text."""
        line = buffer.text
        self.show([("", f"{self._draft.prompt()}{harmless(line)}")])
        self._do(line)
        put_back, self._put_back = self._put_back, ""
        if put_back:
            buffer.document = Document(put_back)
        return bool(put_back)

    def _do(self, line: str) -> None:
        app = self._session.app
        if app.is_done:
            return  # Keys that were pressed behind the one that left.
        try:
            self._obey(line)
        except Exception as error:
            app.exit(exception=error)

    def _leave_if_stopped(self) -> None:
        app = self._session.app
        if self._stopped and app.is_running and not app.is_done:
            app.exit(exception=EOFError())

    def _in_loop(self, call: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(call)
            except RuntimeError:
                pass  # It has just ended; what waits is written then.

    def _write_above(self) -> None:
        """Write what waits above the line, and gather what comes for a moment."""
        app, loop = self._session.app, self._loop
        if loop is None:
            return
        stale = self._stale
        try:
            self._shown.look()
            text = self._taken()
            if not (text or stale):
                return
            if text:
                app.renderer.erase()
                self._output.write_raw(text.replace("\n", "\r\n"))
            if app.is_done:
                self._output.flush()
            else:
                app.invalidate()
        except OSError as error:
            if not app.is_done:
                app.exit(exception=error)
            return
        loop.call_later(GATHERED_SECONDS, self._write_above)

    def _taken(self) -> str:
        """What waits to be written; without anything, whoever shows the next line schedules it."""
        with self._changed:
            lines = list(self._pending)
            self._pending.clear()
            self._scheduled, self._stale = bool(lines) or self._stale, False
            self._changed.notify_all()
        return self._shown.take(lines)

    def _write_now(self) -> None:
        """Write what waits while no line is edited."""
        with self._changed:
            text = self._taken()
            try:
                self._output.write_raw(text)
                self._output.flush()
            except OSError as error:
                raise output_error(error) from error
