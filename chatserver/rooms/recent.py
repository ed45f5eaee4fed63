"""The last part of what the tail has told, for those who are about to catch up."""

from collections import deque
from typing import Final

from msgspec.structs import replace

from chatserver.store.events import Event

RECENT_EVENTS: Final = 512
RECENT_BYTES: Final = 256 * 1024
"""How much of the tail is kept for those who are about to catch up, in events and in bytes: more
than is said while one read of the log takes, and less than an outbox holds."""


class Recent:
    """Entries of the log as they stand: what was edited or removed since has its present text.

    Attributes:
        after: the id above which no entry is missing.
    """

    def __init__(self, after: int) -> None:
        self.after = after
        self._events: deque[Event] = deque()
        self._bytes = 0

    def add(self, event: Event) -> None:
        """The tail has come to `event`."""
        if event.target:
            self._amend(event)
        self._events.append(event)
        self._bytes += event.size
        while len(self._events) > RECENT_EVENTS or self._bytes > RECENT_BYTES:
            gone = self._events.popleft()
            self.after = gone.id
            self._bytes -= gone.size

    def above(self, after: int) -> list[Event]:
        """The entries above an id that is not below `after`, ascending."""
        found = []
        for event in reversed(self._events):
            if event.id <= after:
                break
            found.append(event)
        return found[::-1]

    def clear(self, after: int) -> None:
        """Begin anew."""
        self.after = after
        self._events.clear()
        self._bytes = 0

    def _amend(self, event: Event) -> None:
        """What is told late is told as it stands."""
        if event.type not in ("edit", "remove") or event.removed:
            return
        for index, earlier in enumerate(self._events):
            if earlier.removed:
                continue
            if event.type == "edit" and earlier.id == event.target:
                self._put(index, replace(earlier, text=event.text, edited_ms=event.time_ms))
            elif event.type == "remove" and (
                earlier.id == event.target
                or (earlier.type == "edit" and earlier.target == event.target)
            ):
                self._put(index, replace(earlier, text="", removed=True))

    def _put(self, index: int, event: Event) -> None:
        self._bytes += event.size - self._events[index].size
        self._events[index] = event
