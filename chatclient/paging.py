"""Reading more of what happened than a server gives at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from .events import Event

PAGE: Final = 500
"""Events that are asked of history at once: the most that the server gives."""


class Read(Protocol):
    """Reads events, ascending: with `after` the oldest above that id, otherwise the newest."""

    def __call__(
        self, limit: int = ..., *, before: int | None = None, after: int | None = None
    ) -> list[Event]:
        """Raises ChatError."""
        ...


def newest(read: Read, count: int, before: int | None = None) -> list[Event]:
    """The last events below an id, ascending. Raises ChatError."""
    events: list[Event] = []
    while len(events) < count:
        page = read(min(count - len(events), PAGE), before=before)
        if not page:
            break
        events[:0] = page
        before = page[0].id
    return events


def above(read: Read, after: int) -> Iterator[Event]:
    """All events above an id. Raises ChatError."""
    while page := read(PAGE, after=after):
        yield from page
        after = page[-1].id
