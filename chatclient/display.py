"""How a chat is shown on a terminal, harmlessly.

What others typed never reaches a terminal as control characters: they could move the cursor, set
the title, answer as if the user had typed, or turn text around so that it reads as another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from .events import Event

HARMFUL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what sets the direction of writing
    "\u2028\u2029"  # separators of lines and paragraphs
    "\ud800-\udfff]"  # halves of surrogate pairs, which no encoding can write
)
"""Characters that do something instead of being something."""

INDENT: Final = "    "
"""Before each further line of a message, so that none can pass for a message of its own."""

TAB: Final = "    "

MAX_NAMES: Final = 200
"""Names that are shown at once: a few screenfuls."""


def escaped(text: str) -> str:
    """`text` in one line, its harmful characters as Python writes them: `\\x1b`, `\\u202e`."""
    return HARMFUL.sub(lambda found: ascii(found[0])[1:-1], text)


def indented(text: str) -> str:
    """`text` with its lines one below the other, indented after the first."""
    lines = text.replace("\r\n", "\n").replace("\t", TAB).split("\n")
    return f"\n{INDENT}".join(map(escaped, lines))


def line_of(event: Event) -> str:
    """`[Alice]: Hello everyone!` or `* Bob joined the chat`."""
    if event.type == "chat":
        return f"[{escaped(event.user)}]: {indented(event.text)}"
    return f"* {escaped(event.text)}"


def line_of_users(names: Sequence[str]) -> str:
    """`Users online: ['Alice', 'Bob']`."""
    shown = f"Users online: {list(names[:MAX_NAMES])}"
    more = len(names) - MAX_NAMES
    return f"{shown} and {more} others" if more > 0 else shown
