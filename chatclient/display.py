"""How a chat is shown on a terminal, harmlessly.

What others typed never reaches a terminal as control characters: they could move the cursor, set
the title, answer as if the user had typed, or turn text around so that it reads as another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from .events import Event
from .inbox import EVERYWHERE
from .looks import BOLD, FAINT, INDENT, Ink, Span

HARMFUL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what sets the direction of writing
    "\u2028\u2029"  # separators of lines and paragraphs
    "\ud800-\udfff]"  # halves of surrogate pairs, which no encoding can write
)
"""Characters that do something instead of being something."""

TAB: Final = "    "

MAX_NAMES: Final = 200
"""Names that are shown at once: a few screenfuls."""

QUOTED: Final = 40
"""Characters of a message that are shown of it where another is about it."""

DOING: Final = "/me "
"""How a message begins that says what somebody does: other programs show it as it is."""


def escaped(text: str) -> str:
    """`text` in one line, its harmful characters as Python writes them: `\\x1b`, `\\u202e`."""
    return HARMFUL.sub(lambda found: ascii(found[0])[1:-1], text)


def harmless(text: str) -> str:
    """`text` with its lines, and nothing else that does something."""
    lines = text.replace("\r\n", "\n").replace("\t", TAB).split("\n")
    return "\n".join(map(escaped, lines))


def indented(text: str) -> str:
    """`text` with its lines one below the other, indented after the first."""
    return harmless(text).replace("\n", f"\n{INDENT}")


def quoted(text: str) -> str:
    """The beginning of a text, in one line."""
    line = escaped(text)
    return f"{line[: QUOTED - 1]}…" if len(line) > QUOTED else line


def sentence_of(event: Event) -> str:
    """What is told of something that is no message: `Bob joined the chat`."""
    who = event.user or "Somebody"
    if event.type == "edit":
        return f"{who} changed a message: {event.text}" if event.text else f"{who} changed it"
    if event.type == "remove":
        return f"{who} removed a message" + (f": {event.text}" if event.text else "")
    if event.type == "react":
        return reactions_of(event)
    if event.room == EVERYWHERE:
        return f"To everyone: {event.text}"
    return event.text


def line_of(event: Event) -> str:
    """`[Alice]: Hello everyone!` or `* Bob joined the chat`."""
    if event.type == "chat":
        return f"[{escaped(event.user)}]: {indented(event.text)}"
    return f"* {escaped(sentence_of(event))}"


def spans_of(event: Event, ink: Ink, me: str, mentioned: bool) -> list[Span]:
    """The same, as it looks on a terminal; `me` is our name, `mentioned` whether it is meant."""
    if event.type != "chat":
        look = FAINT if event.type in ("join", "leave", "react") else ""
        look = BOLD if event.room == EVERYWHERE else look
        return [(look, f"* {escaped(sentence_of(event))}")]
    name = escaped(event.user)
    look = BOLD if event.user == me else ink.of(event.user)
    body = BOLD if mentioned else ""
    if event.removed:
        said: list[Span] = [("", "["), (look, name), ("", "]: "), (FAINT, "(removed)")]
    elif event.text.startswith(DOING):
        doing = harmless(event.text[len(DOING) :])
        said = [("", "** "), (look, name), (body, f" {doing}")]
    else:
        said = [("", "["), (look, name), ("", "]: "), (body, harmless(event.text))]
    if event.edited is not None and not event.removed:
        said.append((FAINT, " (edited)"))
    if event.reactions:
        said.append((FAINT, f" {escaped(reactions_of(event))}"))
    return said


def reactions_of(event: Event) -> str:
    """`👍 2 🎉 1`."""
    return " ".join(f"{emoji} {one.count}" for emoji, one in event.reactions.items())


def line_of_users(names: Sequence[str]) -> str:
    """`Users online: ['Alice', 'Bob']`."""
    shown = f"Users online: {list(names[:MAX_NAMES])}"
    more = len(names) - MAX_NAMES
    return f"{shown} and {more} others" if more > 0 else shown
