"""How lines look on a terminal: colours, and where they go on in the next.

A line is made of spans, each a text with the parameters of its look (ECMA-48, SGR): `1` is bold,
`2` faint, `38;5;67` a colour of the 256. What they become depends on the terminal: `Ink`.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prompt_toolkit.utils import get_cwidth

Span = tuple[str, str]
"""The parameters of a look, "" for none, and a text."""

Line = Sequence[Span]
"""What is shown in one line, or in more where it is too wide."""

BOLD: Final = "1"
FAINT: Final = "2"

INDENT: Final = "    "
"""Before each further line of a message, so that none can pass for a message of its own."""

NARROWEST: Final = 20
"""Columns; a terminal that has fewer is written to as if it had as many."""

LUMINANCE: Final = (0.12, 0.26)
"""Between these, a colour has a contrast of 3.4 at least (WCAG 2.1) on black and on white."""

COLOURED: Final = 80
"""How far the strongest and the weakest part of a colour are apart at least; less is grey."""

LEVELS: Final = (0, 95, 135, 175, 215, 255)
"""What the 216 colours from number 16 on are mixed of."""


def luminance(colour: tuple[int, int, int]) -> float:
    """How bright a colour of sRGB is, from 0 to 1 (WCAG 2.1)."""
    parts = (part / 255 for part in colour)
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


CUBE: Final = {
    16 + 36 * r + 6 * g + b: (LEVELS[r], LEVELS[g], LEVELS[b])
    for r in range(6)
    for g in range(6)
    for b in range(6)
}
"""The colours that are the same on every terminal that has 256."""

LEGIBLE: Final = tuple(
    f"38;5;{number}"
    for number, colour in CUBE.items()
    if LUMINANCE[0] <= luminance(colour) <= LUMINANCE[1] and max(colour) - min(colour) >= COLOURED
)
"""Those that can be read on dark and on light."""

FEW: Final = ("31", "32", "34", "35", "36")
"""Where there are only eight: red, green, blue, magenta, cyan. Yellow is invisible on white."""


class Ink:
    """What a terminal makes of looks."""

    def __init__(self, colours: Sequence[str], *, plain: bool = False) -> None:
        """`colours` are those that names have, none where colours are not wanted; `plain` is
        without any look."""
        self._colours = colours
        self._plain = plain

    @property
    def coloured(self) -> bool:
        """Whether there are colours."""
        return bool(self._colours)

    def of(self, name: str) -> str:
        """The colour of somebody's name, always the same."""
        if not self.coloured:
            return ""
        number = zlib.crc32(name.casefold().encode("utf-8", "replace"))
        return self._colours[number % len(self._colours)]

    def lay(self, lines: Iterable[Line], width: int | None) -> str:
        """The lines as they are written where there are so many columns."""
        return "".join(f"{self.paint(row)}\n" for line in lines for row in fold(line, width))

    def paint(self, spans: Line) -> str:
        """The spans as they are written."""
        if self._plain:
            return "".join(text for _, text in spans)
        return "".join(f"\x1b[{look}m{text}\x1b[0m" if look else text for look, text in spans)


def ink_for(environment: Mapping[str, str], color: str, *, can: bool) -> Ink:
    """The ink of a terminal, as the environment says.

    Args:
        environment: `NO_COLOR`, `TERM` and `COLORTERM` count.
        color: `always`, `never`, or `auto`: as the environment says.
        can: whether the output understands looks at all; `always` overrules it.
    """
    if color == "never" or (color == "auto" and environment.get("NO_COLOR")):
        return Ink((), plain=not can)
    many = "256" in environment.get("TERM", "") or bool(environment.get("COLORTERM"))
    return Ink(LEGIBLE if many else FEW, plain=not can and color != "always")


def columns() -> int:
    """How wide the terminal is now, 80 where it does not say."""
    try:
        return max(os.get_terminal_size(1).columns or 80, NARROWEST)
    except (OSError, ValueError):
        return 80


def fold(spans: Line, width: int | None) -> list[list[Span]]:
    """The lines in which the spans stand: cut at the newlines in them, and between words where a
    line would be wider than `width`; each but the first is indented."""
    text = "".join(part for _, part in spans)
    lines: list[list[Span]] = []
    start = 0
    for end, following in [*breaks(text, width), (len(text), len(text))]:
        indent: list[Span] = [("", INDENT)] if lines else []
        lines.append([*indent, *cut(spans, start, end)])
        start = following
    return lines


def plain(text: str) -> list[Line]:
    """The lines of a text, without any look."""
    return [[("", line)] for line in text.split("\n")]


def cut(spans: Line, start: int, end: int) -> list[Span]:
    """What stands between two characters of the whole text."""
    found: list[Span] = []
    for look, text in spans:
        piece = text[max(start, 0) : max(end, 0)]
        if piece:
            found.append((look, piece))
        start, end = start - len(text), end - len(text)
    return found


def breaks(text: str, width: int | None) -> list[tuple[int, int]]:
    """Where a text goes on in another line: where each line ends, and where the next begins."""
    fits = width is None or (text.isascii() and len(text) <= width)
    if fits and "\n" not in text:
        return []
    found: list[tuple[int, int]] = []
    at = column = 0
    space = -1  # The last one in this line, where it may end.
    while at < len(text):
        character = text[at]
        cells = 0 if width is None else get_cwidth(character)
        if character == "\n" or (width is not None and column + cells > width):
            if character in "\n ":
                found.append((at, at + 1))
            elif space >= 0:
                found.append((space, space + 1))
            else:
                found.append((at, at))
            at, column, space = found[-1][1], len(INDENT), -1
            continue
        if character == " " and column > len(INDENT):
            space = at
        column += cells
        at += 1
    return found
