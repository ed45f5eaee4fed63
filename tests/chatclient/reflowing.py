"""A screen that wraps its lines anew when it becomes narrower or wider, as VTE, kitty and tmux do;
pyte's own cuts them off, as xterm does."""

from typing import Any

import pyte
from pyte.screens import Char, StaticDefaultDict


class ReflowingScreen(pyte.Screen):
    """Rows that were filled to their end and went on in the next are one line. What no longer fits
    above is gone: there is no way to scroll back."""

    def draw(self, data: str) -> None:
        """Write text, and note which rows go on in the next."""
        for character in data:
            full = self.cursor.x == self.columns and pyte.modes.DECAWM in self.mode
            if full:
                self.row(self.cursor.y).goes_on = True
            super().draw(character)

    def row(self, y: int) -> Any:
        """A row of the screen; pyte moves these objects when it scrolls."""
        return self.buffer[y]

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        """What is erased up to its end does not go on."""
        super().erase_in_line(how, private)
        if how in (0, 2):
            self.row(self.cursor.y).goes_on = False

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        """What is erased does not go on."""
        super().erase_in_display(how, *args, **kwargs)
        for y in range(self.cursor.y if how == 0 else 0, self.lines):
            self.row(y).goes_on = False

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """Wrap all lines anew; the cursor stays where it is in its line."""
        before, texts, at = self.columns, *self.joined()
        super().resize(lines, columns)
        if self.columns == before:
            return
        rows: list[Any] = []
        cursor = 0, 0
        for number, text in enumerate(texts):
            pieces = [
                text[start : start + self.columns]
                for start in range(0, len(text), self.columns) or [0]
            ]
            if number == at[0]:
                down, x = divmod(at[1], self.columns)
                pieces += [[]] * (down + 1 - len(pieces))
                cursor = len(rows) + down, x
            for piece in pieces:
                rows.append(StaticDefaultDict(self.default_char))
                rows[-1].update(enumerate(piece))
                rows[-1].goes_on = piece is not pieces[-1]
        gone = max(len(rows) - self.lines, 0)
        self.buffer.clear()
        self.buffer.update(enumerate(rows[gone:]))
        self.dirty.update(range(self.lines))
        self.cursor.y, self.cursor.x = max(cursor[0] - gone, 0), cursor[1]

    def joined(self) -> tuple[list[list[Char]], tuple[int, int]]:
        """The lines down to the last that is not empty, or has the cursor; and in which of them,
        and where, the cursor is."""
        texts: list[list[Char]] = []
        at = 0, 0
        goes_on = False
        for y in range(self.lines):
            cells = [self.buffer[y][x] for x in range(self.columns)]
            if goes_on:
                texts[-1] += cells
            else:
                texts.append(cells)
            if y == self.cursor.y:
                start = len(texts[-1]) - self.columns
                at = len(texts) - 1, start + min(self.cursor.x, self.columns - 1)
            goes_on = getattr(self.row(y), "goes_on", False)
        for text in texts:
            while text and text[-1].data == " ":
                text.pop()
        while len(texts) > at[0] + 1 and not texts[-1]:
            texts.pop()
        return texts, at
