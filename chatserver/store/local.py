"""What the engines have in common that one process owns: operations on a `ChatState`, and a tail
that is heard from within the process.

Such an engine says when operations are applied (`submit`) and how events are read.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from gevent.event import Event as Signal

from chatserver.store.commits import Commits
from chatserver.store.events import Event
from chatserver.store.interface import (
    MAX_READ_EVENTS,
    Claim,
    Counts,
    Joined,
    Moment,
    Receipt,
    Store,
    Tail,
    cut,
)
from chatserver.store.state import Changes, ChatState

T = TypeVar("T")
Operation = Callable[[ChatState, Moment], T]
"""Applied to the state at a moment."""

MAX_FRESH: Final = 4096
"""Events that are kept for a follower which is behind; it reads older ones from the log. Several
commits' worth: the follower is woken after each."""


class LocalStore(Store):
    """A store whose state and follower are in this process."""

    def __init__(self) -> None:
        self.last_id = 0
        self.available = True
        self.commits = Commits()
        self._fresh: deque[Event] = deque(maxlen=MAX_FRESH)
        self._lost: list[str] = []
        self._news = Signal()

    @abstractmethod
    def submit(self, operation: Operation[T]) -> "Future[T]":
        """Apply an operation after all that were submitted before, and store what it changed."""

    def claim(self, key: str, name: str, holder: str, secret: str | None) -> "Future[Joined]":
        return self.submit(lambda state, now: state.claim(now, key, name, holder, secret))

    def release(self, claim: Claim) -> "Future[None]":
        return self.submit(lambda state, now: state.release(now, claim))

    def suspend(self, claim: Claim) -> "Future[None]":
        return self.submit(lambda state, now: state.suspend(now, claim))

    def append(self, claim: Claim, text: str, key: str | None = None) -> "Future[Receipt]":
        return self.submit(lambda state, now: state.append(now, claim, text, key))

    def names(self) -> "Future[list[str]]":
        return self.submit(ChatState.names)

    def counts(self) -> "Future[Counts]":
        return self.submit(ChatState.counts)

    def tick(self) -> "Future[float]":
        return self.submit(ChatState.pass_time)

    def follow(self, after: int, timeout: float) -> Tail:
        if self.last_id <= after and not self._lost:
            self._news.clear()
            self._news.wait(timeout)
        events = self._events_above(after)
        # Only now that nothing can fail any more: who lost a name is told once, but told.
        lost, self._lost = self._lost, []
        return Tail(events, lost)

    def _events_above(self, after: int) -> list[Event]:
        if self.last_id <= after:
            return []
        fresh = self._fresh
        while fresh and fresh[0].id <= after:  # told; there is one follower
            fresh.popleft()
        if len(fresh) == self.last_id - after:
            return cut(fresh, MAX_READ_EVENTS)
        return self.read(after=after)

    def _continue_from(self, last_id: int) -> None:
        """The log may have got events, up to this one, that were never published: let the follower
        read them there."""
        self._fresh.clear()
        if last_id > self.last_id:
            self.last_id = last_id
            self._news.set()

    def _publish(self, changes: Changes) -> None:
        """Wake the follower; to be called when the changes are stored."""
        self._lost += changes.lost
        if changes.events:
            self._fresh.extend(changes.events)
            self.last_id = changes.events[-1].id
        if changes.events or changes.lost:
            self._news.set()
