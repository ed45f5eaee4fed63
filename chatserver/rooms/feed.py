"""From the log to the members: one greenlet follows the log's tail and tells all members of this
process about each entry, room by room, with one call for all of a kind.

A member is in one of three places, and moves on to the last:

    ahead    the tail has not come to where the member's seats are those of now
    behind   a greenlet of its own reads the log for it, at the pace of its connection
    live     told by the tail

A member changes its place only at an event's edge, without a switch of greenlets in between, so no
event is missed or told twice. Its seats change with the entries that say so, after they were told:
who is sent out hears why.
"""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from heapq import heappop, heappush
from itertools import count, groupby
from operator import attrgetter
from typing import Any, Final

import gevent

from capnweb_sync import broadcast
from capnweb_sync.close_codes import CloseCode
from chatserver.errors import Unavailable
from chatserver.logs import tell
from chatserver.rooms.backlog import Backlog
from chatserver.rooms.cast import Cast
from chatserver.rooms.member import Member
from chatserver.rooms.recent import Recent
from chatserver.store.events import Event
from chatserver.store.interface import MAX_READ_BYTES, Store
from chatserver.store.seats import EVERYWHERE, Aside, Seat, SeatChange
from chatserver.store.values import LogReset, Lost

logger = logging.getLogger("chatserver")

FOLLOW_SECONDS: Final = 30.0
"""How long one wait for news lasts; only so that a lost wake-up could not last for ever."""

RETRY_SECONDS: Final = 0.5
"""Pause before asking a store again that did not answer."""

TURN_BYTES: Final = 64 * 1024
"""Bytes of events that are told before the loop gets its turn: outboxes are flushed then, so one
burst cannot overflow those of members who keep up."""

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
        position: the id of the last entry that was told.
        deliveries: how often an event was told to a member.
    """

    def __init__(
        self, store: Store, lost: Callable[[Lost], None], reset: Callable[[], None]
    ) -> None:
        """`lost` is called with each holder that lost its claim, `reset()` when the log began
        anew."""
        self.position = store.last_id
        self.deliveries = 0
        self._store = store
        self._lost = lost
        self._reset = reset
        self._casts: dict[str, Cast] = {}
        """By room; of rooms without live members there is none."""
        self._people: dict[str, Member | tuple[Member, ...]] = {}
        """By identity: those whose seats may change; hardly ever more than one."""
        self._backlogs: dict[Member, Backlog] = {}
        """Of those who are not live."""
        self._recent = Recent(self.position)
        self._agenda: list[tuple[int, int, Callable[[], Any]]] = []
        """A heap: what is to be done once the tail has come to an id."""
        self._numbers = count()
        self._lost_holders: list[Lost] = []
        """Those who are still to be told."""
        self._unreachable = False

    @property
    def rooms(self) -> int:
        """How many rooms have live members in this process."""
        return len(self._casts.keys() - {EVERYWHERE})

    def add(self, member: Member, seats: Iterable[Seat], after: int, known: int) -> None:
        """Tell `member`, from now on, every event above `after` of the rooms that it is in.

        Args:
            member: its `seats` are those as of the entry `known`.
            seats: of each room in which it is, the id above which it is to hear what is said.
            after: an id that is not above `known`.
            known: an entry that the tail may have told already, or not yet.
        """
        by = member.claim.by
        backlog = self._backlogs[member] = Backlog(member, seats, after, known)
        others = self._members_of(by)
        self._people[by] = (*others, member) if others else member
        if known < self._recent.after and member.full:
            member.send_away(CloseCode.SERVICE_RESTART, "It took too long to come in; join again.")
            return
        for event in self._recent.above(known):
            for change in event.seats:
                if change.by == by:
                    self._change(member, change, event)
        self.when_told(known, partial(self._arrive, backlog))

    def remove(self, member: Member) -> None:
        """Tell `member` nothing more. Costs the same however many there are."""
        by = member.claim.by
        others = tuple(other for other in self._members_of(by) if other is not member)
        if others:
            self._people[by] = others
        else:
            self._people.pop(by, None)
        if self._backlogs.pop(member, None) is None:
            for room in rooms_of(member):
                self._leave(room, member)

    def when_told(self, number: int, action: Callable[[], Any]) -> None:
        """Call `action`, which must neither block nor raise, once all entries up to `number` were
        told; at once if they are. Should the log begin anew before, it is called then."""
        if self.position >= number:
            action()
        else:
            heappush(self._agenda, (number, next(self._numbers), action))

    def follow(self) -> None:
        """Wait until there is news, and tell it. To be called again and again: what it could not
        tell before it raised, it tells then."""
        try:
            tail = self._store.follow(self.position, FOLLOW_SECONDS)
        except LogReset:
            tell(logger, logging.WARNING, "The log began anew", last_id=self._store.last_id)
            self._begin_anew()
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
        for room, asides in groupby(tail.asides, room_of):
            self._whisper(room, list(asides))

    def _begin_anew(self) -> None:
        self.position = self._store.last_id
        self._recent.clear(self.position)
        self._reset()
        agenda, self._agenda = self._agenda, []
        for _, _, action in agenda:
            action()

    # --- telling

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
        """Tell `events`, neighbours of one room in one piece, up to one with which seats change."""
        piece: list[Event] = []
        for event in events:
            if piece and event.room != piece[0].room:
                self._tell_piece(piece)
                piece = []
            piece.append(event)
            if event.seats:
                self._tell_piece(piece)
                piece = []
        if piece:
            self._tell_piece(piece)

    def _tell_piece(self, events: list[Event]) -> None:
        for event in events:
            self._recent.add(event)
        last = events[-1]
        self.position = last.id
        try:
            cast = self._casts.get(last.room)
            if cast is not None:
                # It says nothing but which seats change, so it is the last of its piece.
                told = events[:-1] if last.type == "seat" else events
                if told:
                    cast.tell(told)
                    self.deliveries += len(cast) * len(told)
        finally:
            for change in last.seats:
                for member in self._members_of(change.by):
                    self._change(member, change, last)
            while self._agenda and self._agenda[0][0] <= self.position:
                heappop(self._agenda)[2]()

    def _whisper(self, room: str, asides: list[Aside]) -> None:
        cast = self._casts.get(room)
        if cast is not None:
            cast.whisper(asides)

    # --- seats

    def _members_of(self, by: str) -> tuple[Member, ...]:
        found = self._people.get(by, ())
        return found if isinstance(found, tuple) else (found,)

    def _change(self, member: Member, change: SeatChange, event: Event) -> None:
        """A seat of `member` begins or ends with `event`."""
        backlog = self._backlogs.get(member)
        if (backlog is not None and event.id <= backlog.known) or not member.hears(change.room):
            return
        if change.begins:
            member.sit(change.room, change.number)
        else:
            member.stand_up(change.room)
        if backlog is not None:
            backlog.change(change, event)
        elif change.begins:
            self._enter(change.room, member)
        else:
            self._leave(change.room, member)

    def _enter(self, room: str, member: Member) -> None:
        if member.sink is not None:
            cast = self._casts.get(room)
            if cast is None:
                cast = self._casts[room] = Cast()
            cast.add(member)

    def _leave(self, room: str, member: Member) -> None:
        cast = self._casts.get(room)
        if cast is not None:
            cast.remove(member)
            if not cast:
                del self._casts[room]

    # --- those who are not live

    def _arrive(self, backlog: Backlog) -> None:
        """The tail has come to where the seats of a member are those of now."""
        member = backlog.member
        if self._backlogs.get(member) is not backlog:
            return
        try:
            if not self._catch_up(backlog):
                gevent.spawn(self._read_for, backlog)
        except Exception:
            logger.exception("%s cannot be told what it has missed.", member.name)
            send_to_join_again(member)

    def _catch_up(self, backlog: Backlog) -> bool:
        """Leave a member to the tail if what it has not heard is at hand: that is told at once."""
        member = backlog.member
        if member.sink is not None:
            if backlog.after < self._recent.after:
                return False
            for event in self._recent.above(backlog.after):
                tell_one(backlog, event)
                self.deliveries += 1
        del self._backlogs[member]
        for room in rooms_of(member):
            self._enter(room, member)
        return True

    def _read_for(self, backlog: Backlog) -> None:
        """Read the log for a member, in a greenlet of its own."""
        try:
            self._read_on(backlog)
        except Exception:
            logger.exception("%s cannot be told what it has missed.", backlog.member.name)
            send_to_join_again(backlog.member)

    def _read_on(self, backlog: Backlog) -> None:
        """Until it has caught up or is removed."""
        member = backlog.member
        connection = member.client.connection
        while self._has_room(backlog):
            if self._catch_up(backlog):
                return
            # Seats that began up to here are known; of later ones nothing may be passed over.
            position = self.position
            try:
                events = self._store.read_rooms(backlog.afters, position + 1, CATCH_UP_EVENTS)
            except Unavailable:
                gevent.sleep(RETRY_SECONDS)
                continue
            if not member.full and not backlog.unbroken(events):
                # Trimmed under the reader. Joining again tells the client that some are missing;
                # who has logged in sees it by `prev`.
                member.send_away(CloseCode.SERVICE_RESTART, "The log was trimmed; join again.")
                return
            for event in events:
                if connection.buffered > BEHIND_BYTES and not self._has_room(backlog):
                    return
                tell_one(backlog, event)
                self.deliveries += 1
            backlog.after = position if is_all(events) else events[-1].id

    def _has_room(self, backlog: Backlog) -> bool:
        """Wait until a member can be told more; False if it need not be any more."""
        connection = backlog.member.client.connection
        while self._backlogs.get(backlog.member) is backlog and not connection.closed:
            if connection.wait_drained(DRAINED_BYTES, DRAIN_SECONDS):
                return self._backlogs.get(backlog.member) is backlog
        return False


room_of = attrgetter("room")


def rooms_of(member: Member) -> Iterable[str]:
    """Where it hears what is said: who has logged in, announcements, too."""
    return (*member.seats, EVERYWHERE) if member.full else member.seats


def send_to_join_again(member: Member) -> None:
    """Close the connection of a member that must not go on with a gap."""
    member.send_away(CloseCode.SERVICE_RESTART, "What was missed could not be told; join again.")


def tell_one(backlog: Backlog, event: Event) -> None:
    """Tell a member that is not live `event`, if it is to hear that."""
    member = backlog.member
    if member.sink is not None and backlog.concerns(event):
        told = event.full_value() if member.full else event.value()
        broadcast((member.sink,), None, told)


def is_all(events: list[Event]) -> bool:
    """Whether a read has brought everything up to where it was to end: neither of its bounds, the
    number nor the bytes, of which it says about, has cut it."""
    size = sum(event.size for event in events)
    return len(events) < CATCH_UP_EVENTS and size < MAX_READ_BYTES // 2
