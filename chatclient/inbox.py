"""Events on their way from the server to the application: each once, in order, and bounded.

Events come in on one thread and are taken on others. Those that find the inbox full are not kept:
only the id of the newest is, and whoever empties the inbox fetches what is missing from history.
The step back to live events has no gap and no repeat: the history is read until it reaches the
newest event seen, and an event that both bring is taken once, by its id.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from .errors import BadAnswer
from .events import Event

Fetch = Callable[[int], Sequence[Event]]
"""Reads the oldest events above an id from history, some at a time; empty if there are none."""


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
        self._last = 0  # The newest event that is in the inbox, or was.
        self._seen = 0  # The newest event that was received. Above `_last`, some are missing.
        self._fetching = False
        self._ended = False
        self._error: Exception | None = None

    @property
    def seen(self) -> int:
        """The id of the newest event received: nothing up to it needs to be sent again."""
        with self._changed:
            return self._seen

    def begin(self, epoch: str, last_id: int, since: int) -> None:
        """A connection begins to deliver events of the log `epoch`, of which `last_id` is the
        newest; `since` was asked for.

        In a log that is not the one of before, or that has lost its end, old ids mean nothing.
        """
        with self._changed:
            if epoch != self._epoch or last_id < since:
                # A server may tell of the join before it answers it.
                early = self._seen if self._epoch is None and self._numbered else 0
                self._epoch = epoch
                self._numbered = True
                self._last = self._seen = max(last_id, early)

    def begin_unnumbered(self) -> None:
        """A connection begins to deliver events that have no ids, or ids that lead nowhere."""
        with self._changed:
            self._numbered = False
            self._epoch = None
            self._last = self._seen

    def put_history(self, events: Iterable[Event]) -> None:
        """Put events in front that are older than all others."""
        with self._changed:
            self._events.extendleft(reversed(list(events)))
            self._changed.notify_all()

    def put(self, event: Event) -> None:
        """Take an event in, unless it is here already. Never blocks. Raises BadAnswer for one
        without an id where the others have them."""
        with self._changed:
            if not event.id and self._epoch is not None:
                raise BadAnswer("The server has sent an event without an id.")
            if not event.id or not self._numbered:
                event = replace(event, id=self._seen + 1)
            if event.id <= self._seen:
                return
            # Ids have no gaps: after a jump, what the RPC layer refused because it came faster than
            # it could be served is fetched like what overflowed.
            follows = self._epoch is None or self._seen == event.id - 1
            # What overflows of events that nobody keeps is lost, but no more than that.
            complete = not self._numbered or (follows and self._last == self._seen)
            self._seen = event.id
            if complete and len(self._events) < self._capacity:
                self._last = event.id
                self._events.append(event)
            self._changed.notify_all()

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
                if self._last < self._seen and not self._fetching:
                    self._refill()
                else:
                    self._changed.wait()

    def _refill(self) -> None:
        """Fetch what is missing, some of it. The lock is held, and released while fetching."""
        after, seen, epoch = self._last, self._seen, self._epoch
        if not self._numbered:
            self._last = seen  # Nobody has kept it.
            return
        self._fetching = True
        self._changed.release()
        try:
            events = self._fetch(after)
        finally:
            self._changed.acquire()
            self._fetching = False
            self._changed.notify_all()
        if (after, epoch) != (self._last, self._epoch):
            return  # The log began anew meanwhile.
        # What is neither here nor in history any more was trimmed there.
        self._last = events[-1].id if events else seen
        self._seen = max(self._seen, self._last)
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
