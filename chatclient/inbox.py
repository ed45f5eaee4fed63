"""Events on their way from the server to the application: each once, in order, and bounded.

Events come in on one thread and are taken on others. Those that find the inbox full are not kept:
only the id of the newest of their room is, and whoever empties the inbox fetches what is missing of
it. The step back to live events has no gap and no repeat: the room's events are read until they
reach the newest one seen, and an event that both bring is taken once, by its id. Those of one room
come in order, whatever is missing of another.

Which event of a room comes next, each says by `prev`. Servers without rooms number their events
without gaps instead; and a callback of `join` hears only some of the lobby, and is told of no gap.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from .errors import BadAnswer
from .events import Event

Fetch = Callable[[str, int], Sequence[Event]]
"""Reads the oldest events of a room above an id, some at a time; empty if there are none, or none
any more that are to be had."""


BESIDE: Final = frozenset({"typing", "presence"})
"""Types of events that are told beside the log."""


EVERYWHERE: Final = "*"
"""The room of announcements, in which everyone is, and which nobody enters: none of them has one
before it, none is fetched, and so each is kept, whatever waits already."""


class Track:
    """How far one room has come: `last` is its newest event that is in the inbox, or was; `seen`
    the newest that was received. Above `last`, some are missing."""

    __slots__ = ("last", "seen")

    def __init__(self, last: int) -> None:
        self.last = self.seen = last


class Inbox:
    """The events that wait for the application. Any number of threads may take from it."""

    def __init__(self, capacity: int, fetch: Fetch) -> None:
        """`capacity` is how many events may wait; what overflows is read with `fetch`."""
        self._capacity = capacity
        self._fetch = fetch
        self._changed = threading.Condition()
        self._events: deque[Event] = deque()
        self._epoch: str | None = None
        self._numbered = True  # By the server; otherwise by us, and there is no history.
        self._tracks: dict[str, Track] = {}
        self._left: set[str] = set()
        """Rooms of which something may still be on its way that does not concern us any more."""
        self._seen = 0  # The newest event that was received, of all rooms.
        self._announced = 0  # The newest announcement.
        self._fetching = False
        self._ended = False
        self._error: Exception | None = None

    @property
    def seen(self) -> int:
        """The id of the newest event received: nothing up to it needs to be sent again."""
        with self._changed:
            return self._seen

    def begin(
        self, epoch: str, last_id: int, since: int, rooms: Mapping[str, int] | None = None
    ) -> None:
        """A connection begins to deliver events of the log `epoch`, of which `last_id` is the
        newest; `since` was asked for. Of each of `rooms` events come above the id given for it; of
        others, and without any, above `last_id`.

        In a log that is not the one of before, or that has lost its end, old ids mean nothing.
        """
        with self._changed:
            if epoch != self._epoch or last_id < since:
                # A server may tell of the join before it answers it.
                early = self._seen if self._epoch is None and self._numbered else 0
                self._epoch = epoch
                self._numbered = True
                self._tracks.clear()
                self._announced = 0
                self._seen = max(last_id, early)
                since = self._seen
            if rooms is not None:
                self._left.clear()
                kept = {name: self._tracks.get(name) for name in rooms}
                self._tracks = {
                    name: track or Track(max(since, rooms[name])) for name, track in kept.items()
                }

    @property
    def rooms(self) -> list[str]:
        """The rooms that are heard."""
        with self._changed:
            return list(self._tracks)

    def begin_unnumbered(self) -> None:
        """A connection begins to deliver events that have no ids, or ids that lead nowhere."""
        with self._changed:
            self._numbered = False
            self._epoch = None
            self._tracks.clear()

    def enter(self, room: str, since: int) -> None:
        """Events of a room come above this id."""
        with self._changed:
            self._left.discard(room)
            self._tracks.setdefault(room, Track(since))

    def inside(self, room: str) -> bool:
        """Whether the room is heard."""
        with self._changed:
            return room in self._tracks

    def left(self, room: str) -> None:
        """No more of a room is to come, and nothing of it is missing any more."""
        with self._changed:
            self._tracks.pop(room, None)
            self._left.add(room)

    def put_history(self, events: Iterable[Event]) -> None:
        """Put events in front that are older than all others."""
        with self._changed:
            self._events.extendleft(reversed(list(events)))
            self._changed.notify_all()

    def put(self, event: Event) -> None:
        """Take an event in, unless it is here already. Never blocks. Raises BadAnswer for one
        without an id where the others have them."""
        with self._changed:
            if event.type in BESIDE and not event.id:
                # Beside the log: it may be lost.
                if len(self._events) < self._capacity:
                    self._events.append(event)
                    self._changed.notify_all()
                return
            if not event.id and self._epoch is not None:
                raise BadAnswer("The server has sent an event without an id.")
            if not event.id or not self._numbered:
                event = replace(event, id=self._seen + 1, prev=None)
            if event.room == EVERYWHERE:
                self._announce(event)
                return
            if event.room in self._left:
                return
            track = self._tracks.get(event.room)
            if track is None:
                track = self._tracks[event.room] = Track(self._begins(event))
            if event.id <= track.seen:
                return
            # After a jump, what the RPC layer refused because it came faster than it could be
            # served is fetched like what overflowed. What overflows of events that nobody keeps is
            # lost, but no more than that.
            complete = not self._numbered or (
                track.last == track.seen and self._follows(event, track)
            )
            track.seen = event.id
            self._seen = max(self._seen, event.id)
            if complete and len(self._events) < self._capacity:
                track.last = event.id
                self._events.append(event)
            elif not self._numbered:
                track.last = event.id
            self._changed.notify_all()

    def _announce(self, event: Event) -> None:
        """Take an announcement in; also told late, each comes once."""
        if event.id > self._announced:
            self._announced = event.id
            self._seen = max(self._seen, event.id)
            self._events.append(event)
            self._changed.notify_all()

    def _begins(self, event: Event) -> int:
        """The id above which a room begins of which this is the first event that is heard."""
        return self._seen if event.prev is None and self._numbered else (event.prev or 0)

    def _follows(self, event: Event, track: Track) -> bool:
        """Whether nothing is missing between this event of a room and the one before."""
        if event.prev is not None:
            return event.prev <= track.seen
        return self._epoch is None or bool(event.room) or track.seen == event.id - 1

    def take(self) -> Event | None:
        """The next event; waits for it. None when there will be none.

        Raises what the inbox was ended with, or what fetching raises.
        """
        with self._changed:
            while True:
                if self._events:
                    return self._events.popleft()
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return None
                missing = self._incomplete()
                if missing is not None and not self._fetching:
                    self._refill(missing)
                else:
                    self._changed.wait()

    def _incomplete(self) -> str | None:
        """A room of which events are missing."""
        return next((name for name, t in self._tracks.items() if t.last < t.seen), None)

    def _refill(self, room: str) -> None:
        """Fetch what is missing of a room, some of it. The lock is held, and released while
        fetching."""
        track, epoch = self._tracks[room], self._epoch
        after, seen = track.last, track.seen
        self._fetching = True
        self._changed.release()
        try:
            events = self._fetch(room, after)
        finally:
            self._changed.acquire()
            self._fetching = False
            self._changed.notify_all()
        if self._tracks.get(room) is not track or (after, epoch) != (track.last, self._epoch):
            return  # The log began anew meanwhile, or the room was left.
        # What is neither here nor in history any more was trimmed there.
        track.last = events[-1].id if events else seen
        track.seen = max(track.seen, track.last)
        self._seen = max(self._seen, track.last)
        self._events.extend(events)

    def leave_to_parent(self, error: Exception) -> None:
        """In a forked child: the events are the parent's; taking one raises `error`. Whoever held
        the lock is not here."""
        self._changed = threading.Condition()
        self._events.clear()
        self._ended = True
        self._error = self._error or error

    def end(self, error: Exception | None = None) -> None:
        """No more events will come. Those that wait can still be taken; then comes `error`."""
        with self._changed:
            if not self._ended:
                self._ended = True
                self._error = error
                self._changed.notify_all()
