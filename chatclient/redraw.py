"""A screen that stays right when its window becomes narrower.

Terminals do one of two things then: they wrap lines that do not fit any more (VTE, kitty, tmux), or
cut them off (xterm, the Linux console). Of a draft that did not fit, an editor cannot know which it
was, nor, therefore, how far above the cursor the draft begins; moving up too little leaves a ghost
of it, too much erases what was said. So the whole screen is drawn anew in that case, from what was
shown last. A draft that still fits is where it was on both kinds, since each of its rows is written
as a line of its own.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from prompt_toolkit import Application
from prompt_toolkit.layout.screen import Screen
from prompt_toolkit.output import Output

from .looks import Ink, Line, columns

KEPT_LINES: Final = 200
"""Lines that are remembered: as many as the tallest of screens has rows."""


class Shown:
    """What stands on a terminal's screen: lines, and the draft of `app` below them."""

    def __init__(self, app: Application[Any], output: Output, ink: Ink) -> None:
        """`ink` is that of the lines."""
        self._app = app
        self._output = output
        self._ink = ink
        self._lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self._widest = 0  # Columns of the draft as it was drawn last.
        app.before_render += lambda _: self.look()
        app.after_render += lambda _: self._measure()

    def take(self, lines: Sequence[Line]) -> str:
        """Lines that are shown above the draft, as they are written."""
        self._lines.extend(lines)
        return self._written(lines)

    def look(self) -> None:
        """Draw the screen anew if the draft does not fit into its window any more. Comes before
        anything is written there."""
        size = self._output.get_size()
        if size.columns >= self._widest:
            return
        self._app.renderer.erase()
        self._output.cursor_goto(0, 0)
        # Row by row: what is erased as a whole, some terminals keep above the screen.
        rows = self._written(self._lines).split("\n")[-size.rows :]
        for row in rows[:-1]:
            self._output.erase_end_of_line()
            self._output.write_raw(f"{row}\r\n")
        self._output.erase_down()
        self._widest = 0

    def _written(self, lines: Iterable[Line]) -> str:
        # A terminal that cannot show a character shows its number.
        encoding = sys.stdout.encoding
        text = self._ink.lay(lines, columns())
        return text.encode(encoding, "backslashreplace").decode(encoding)

    def _measure(self) -> None:
        screen = self._app.renderer.last_rendered_screen
        if screen is None:  # It was the last time, and is erased.
            self._widest = 0
        else:
            cursor = screen.get_cursor_position(self._app.layout.current_window)
            self._widest = max(cursor.x + 1, *(width_of(screen, y) for y in range(screen.height)))


def width_of(screen: Screen, y: int) -> int:
    """How many columns of a row were written: not the spaces at its end, but those of a menu."""
    row = screen.data_buffer[y]
    written = (x for x, cell in row.items() if cell.char != " " or "menu" in cell.style)
    return max(written, default=-1) + 1
