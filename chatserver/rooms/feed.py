"""From the log to the members: one greenlet follows the log's tail and tells all members of this
process about each event with one call.

A member is in one of three places, and moves on to the last:

    behind   a greenlet of its own reads the log for it, at the pace of its connection
    ahead    the tail has not come to where the member's events begin
    live     told by the tail

A member changes its place only at an event's edge, without a switch of greenlets in between, so no
event is missed or told twice.
"""

import logging
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final

import gevent

from capnweb_sync import RpcStub, broadcast, broadcast_all
from capnweb_sync.close_codes import CloseCode
from chatserver.errors import Unavailable
from chatserver.logs import tell
from chatserver.rooms.member import Member
from chatserver.store.events import Event
from chatserver.store.interface import LogReset, Store

logger = logging.getLogger("chatserver")

FOLLOW_SECONDS: Final = 30.0
"""How long one wait for news lasts; only so that a lost wake-up could not last for ever."""

RETRY_SECONDS: Final = 0.5
"""Pause before asking a store again that did not answer."""

TURN_BYTES: Final = 64 * 1024
"""Bytes of events that are told before the loop gets its turn: outboxes are flushed then, so one
burst cannot overflow those of members who keep up."""

RECENT_EVENTS: Final = 512
RECENT_BYTES: Final = 256 * 1024
"""How much of the tail is kept for those who are about to catch up, in events and in bytes: more
than is said while one read of the log takes, and less than an outbox holds."""

CATCH_UP_EVENTS: Final = 256
"""Events that one read for a member behind asks for: what it costs in memory at a time."""

BEHIND_BYTES: Final = 64 * 1024
DRAINED_BYTES: Final = 16 * 1024
"""When more than the one waits to be sent to a member behind, it gets more once less than the other
does: what such members cost in memory, and well below what an outbox holds."""

DRAIN_SECONDS: Final = 5.0
"""How long one wait for that lasts before looking whether the member is still there."""


class Feed:
    """Tells members what the log says.

    Attributes:
        position: the id of the last event that was told.
        deliveries: how often an event was told to a member.
    """

    def __init__(
        self, store: Store, lost: Callable[[str], None], reset: Callable[[], None]
    ) -> None:
        """`lost(holder)` is called for each holder that another one took the name from, `reset()`
        when the log began anew."""
        self.position = store.last_id
        self.deliveries = 0
        self._store = store
        self._lost = lost
        self._reset = reset
        self._live: dict[Member, RpcStub] = {}
        self._ahead: dict[Member, int] = {}
        self._behind: set[Member] = set()
        self._recent: deque[Event] = deque()
        self._recent_bytes = 0
        self._lost_holders: list[str] = []
        """Those who are still to be told."""
        self._unreachable = False

    def add(self, member: Member, after: int) -> None:
        """Tell `member` every event with an id above `after`, from now on."""
        if not self._catch_up(member, after):
            self._behind.add(member)
            gevent.spawn(self._read_for, member, after)

    def remove(self, member: Member) -> None:
        """Tell `member` nothing more. Costs the same however many there are."""
        self._live.pop(member, None)
        self._ahead.pop(member, None)
        self._behind.discard(member)

    def follow(self) -> None:
        """Wait until there is news, and tell it. To be called again and again: what it could not
        tell before it raised, it tells then."""
        try:
            tail = self._store.follow(self.position, FOLLOW_SECONDS)
        except LogReset:
            tell(logger, logging.WARNING, "The log began anew", last_id=self._store.last_id)
            self._forget(self._store.last_id)
            self._reset()
            return
        except Unavailable as error:
            if not self._unreachable:
                tell(logger, logging.WARNING, "The log cannot be followed", reason=error)
            self._unreachable = True
            gevent.sleep(RETRY_SECONDS)
            return
        self._unreachable = False
        self._lost_holders += tail.lost
        while self._lost_holders:
            self._lost(self._lost_holders.pop(0))
        self._tell_all(tail.events)

    def _tell_all(self, events: list[Event]) -> None:
        """Tell what has been read, a turn of the loop for each TURN_BYTES."""
        turn: list[Event] = []
        size = 0
        for event in events:
            turn.append(event)
            size += event.size
            if size > TURN_BYTES:
                self._tell(turn)
                turn, size = [], 0
                gevent.sleep(0)
        if turn:
            self._tell(turn)

    def _tell(self, events: list[Event]) -> None:
        """Tell `events`, all at once unless somebody's begin in between."""
        while self._ahead and events:
            first, events = events[0], events[1:]
            for member in [m for m, after in self._ahead.items() if after < first.id]:
                del self._ahead[member]
                self._live[member] = member.sink
            self._tell_live([first])
        self._tell_live(events)

    def _tell_live(self, events: list[Event]) -> None:
        try:
            for event in events:
                self.position = event.id
                self._remember(event)
            if self._live and events:
                self.deliveries += len(self._live) * len(events)
                broadcast_all(self._live.values(), None, [(event.value(),) for event in events])
        except BaseException:
            # Who was told and who was not cannot be said: they come back and say it themselves.
            for member in list(self._live):
                member.send_away(
                    CloseCode.SERVICE_RESTART, "An event could not be told; join again."
                )
            raise

    def _remember(self, event: Event) -> None:
        self._recent.append(event)
        self._recent_bytes += event.size
        while len(self._recent) > RECENT_EVENTS or self._recent_bytes > RECENT_BYTES:
            self._recent_bytes -= self._recent.popleft().size

    def _forget(self, position: int) -> None:
        self.position = position
        self._recent.clear()
        self._recent_bytes = 0

    def _catch_up(self, member: Member, after: int) -> bool:
        """Leave `member` to the tail if what it has not heard is at hand; it is told that at once.

        It may have heard more than the tail has told: what was read was stored already.
        """
        missing = self.position - after
        if missing < 0:
            self._ahead[member] = after
            return True
        if missing > len(self._recent):
            return False
        for event in islice(self._recent, len(self._recent) - missing, None):
            broadcast((member.sink,), None, event.value())
        self.deliveries += missing
        self._live[member] = member.sink
        return True

    def _read_for(self, member: Member, after: int) -> None:
        """Read the log for `member`, in a greenlet of its own."""
        try:
            self._read_on(member, after)
        except Exception:
            logger.exception("%s cannot be told what it has missed.", member.name)
            member.send_away(
                CloseCode.SERVICE_RESTART, "What was missed could not be told; join again."
            )

    def _read_on(self, member: Member, after: int) -> None:
        """Until it has caught up or is removed."""
        connection = member.client.connection
        while self._has_room(member):
            if self._catch_up(member, after):
                self._behind.discard(member)
                return
            try:
                events = self._store.read(after=after, limit=CATCH_UP_EVENTS)
            except Unavailable:
                gevent.sleep(RETRY_SECONDS)
                continue
            if not events or events[0].id != after + 1:
                # Trimmed under the reader. Joining again tells the client that some are missing.
                member.send_away(CloseCode.SERVICE_RESTART, "The log was trimmed; join again.")
                return
            if member not in self._behind:
                return
            for event in events:
                if connection.buffered > BEHIND_BYTES and not self._has_room(member):
                    return
                broadcast((member.sink,), None, event.value())
                self.deliveries += 1
            after = events[-1].id

    def _has_room(self, member: Member) -> bool:
        """Wait until `member` can be told more; False if it need not be any more."""
        connection = member.client.connection
        while member in self._behind and not connection.closed:
            if connection.wait_drained(DRAINED_BYTES, DRAIN_SECONDS):
                return member in self._behind
        return False
