"""Which rooms there are, and who is in them."""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from chatserver.store.events import NoticeType
from chatserver.store.interface import DAY_MS
from chatserver.store.refusals import (
    no_such_room,
    nobody_here,
    not_heard,
    not_seated,
    not_the_owner,
    too_many,
)
from chatserver.store.seats import (
    LOBBY,
    MAX_BLOCKED,
    MAX_DIRECT,
    MAX_MADE,
    MAX_PASSES,
    MAX_ROOMS,
    Seat,
    SeatChange,
)
from chatserver.store.state.log import LogEnd
from chatserver.store.state.records import Holding, Notice, Pass, RoomRecord, SeatRecord
from chatserver.store.state.room import Room
from chatserver.store.values import Moment

LOBBY_NUMBER: Final = 1
"""What the lobby is called in the store."""


class Rooms:
    """All rooms, and the seats in them. What is done here was allowed already, but for what a
    method says that it raises; then nothing has changed."""

    def __init__(
        self,
        log: LogEnd,
        rooms: Iterable[Room] = (),
        *,
        last_number: int = LOBBY_NUMBER,
    ) -> None:
        """`rooms` with their seats and all else; the lobby is made if it is not among them.
        `last_number` is not to be given again."""
        self._log = log
        self._by_number = {room.number: room for room in rooms}
        self._by_name = {room.name: room for room in self._by_number.values()}
        self._inside: dict[str, dict[str, Room]] = {}
        """By identity, the rooms beside the lobby in which it has a seat, by name."""
        self._direct: dict[frozenset[str], Room] = {}
        self._made: dict[str, int] = {}
        self._passes: dict[str, Room] = {}
        self._blocked: dict[str, dict[str, None]] = {}
        self._pending: dict[Room, None] = {}
        """Rooms that have something to tell when its moment comes."""
        self.due = math.inf
        """The earliest of those moments, by the steady clock in milliseconds."""
        self._last_number = last_number
        self._last_notice = 0
        lobby = RoomRecord(LOBBY_NUMBER, LOBBY, "public", LOBBY, "", "", "", True)
        self.lobby = self._by_name.get(LOBBY) or self._add(lobby)
        for room in self._by_number.values():
            self._index(room)

    def load(self, notices: Iterable[Notice], blocks: Iterable[tuple[str, str]]) -> None:
        """Go on with the notices that wait, and with who blocks whose name."""
        for pending in notices:
            self._last_notice = pending.number
            room = self._by_number.get(pending.room)
            if room and room.notices is not None and room.notices.note(self._log.changes, pending):
                self._wait(room)
            else:
                self._log.changes.told.append(pending.number)
        for by, key in blocks:
            self._blocked.setdefault(by, {})[key] = None

    def _index(self, room: Room) -> None:
        if room.notices or room.reacted:
            self._wait(room)
        if room.maker:
            self._made[room.maker] = self._made.get(room.maker, 0) + 1
        for digest in room.passes:
            self._passes[digest] = room
        if room.kind == "direct":
            self._direct[frozenset(room.seats)] = room
        if room is not self.lobby:
            for by in room.seats:
                self._inside.setdefault(by, {})[room.name] = room

    # --- looking

    def __iter__(self) -> Iterator[Room]:
        return iter(self._by_number.values())

    def numbered(self, number: int) -> Room | None:
        """The room with this number."""
        return self._by_number.get(number)

    def named(self, name: str) -> Room | None:
        """The room of this name, which the caller may not be allowed to see."""
        return self._by_name.get(name)

    def seated(self, by: str, seat: Seat) -> Room:
        """The room in which this identity has this seat. Raises NotJoined."""
        room = self._by_name.get(seat.room)
        record = room and room.seats.get(by)
        if room is None or record is None or record.number != seat.number:
            raise not_seated()
        return room

    def seats_of(self, by: str) -> tuple[Seat, ...]:
        """All seats of an identity, that in the lobby first."""
        lobby = self.lobby.seats.get(by)
        seats = () if lobby is None else (Seat(LOBBY, lobby.number),)
        inside = self._inside.get(by)
        if not inside:
            return seats
        return (*seats, *(Seat(room.name, room.seats[by].number) for room in inside.values()))

    # --- coming

    def come_in(self, now: Moment, holding: Holding, by: str) -> None:
        """A seat in the lobby with the stay itself."""
        if by not in self.lobby.seats:
            self._sit(self.lobby, by, holding.name, self._log.last_id)
            self.notify(self.lobby, "join", holding, by)

    def enter(self, now: Moment, name: str, holding: Holding, by: str, makes: bool = True) -> Seat:
        """The seat in a room that is there already, or in a public one, made if there is none
        and `makes`. Raises NoSuchRoom, TooMany."""
        room = self._by_name.get(name)
        if room is not None and by in room.seats:
            return Seat(name, room.seats[by].number)
        if room is None and not makes:
            raise no_such_room()
        if name[:1] in "+@" or (room is not None and room.kind != "public"):
            raise no_such_room()
        self._check_seats(by, room)
        if room is None:
            self._check_made(by)
            room = self._make(RoomRecord(self._next(), name, "public", name, "", "", by, True))
        return self._seat(now, room, holding, by)

    def open(self, now: Moment, record: RoomRecord, holding: Holding, by: str) -> Seat:
        """A new private room. `record` has no number yet. Raises TooMany."""
        self._check_seats(by, None)
        self._check_made(by)
        return self._seat(now, self._make(record._replace(number=self._next())), holding, by)

    def direct(
        self,
        now: Moment,
        name: str,
        holding: Holding,
        by: str,
        other: Holding | None,
        other_by: str,
    ) -> Seat:
        """The room of two, made with this name if there is none; `other` None: nobody. Raises
        NoSuchRoom, TooMany."""
        room = self._direct.get(frozenset((by, other_by)))
        if room is None:
            inside = self._inside.get(other_by, {})
            directs = [room for room in inside.values() if room.kind == "direct"]
            full = len(inside) >= MAX_ROOMS or len(directs) >= MAX_DIRECT
            blocked = holding.key in self._blocked.get(other_by, ())
            if other is None or by == other_by or full or blocked:
                raise no_such_room()
            self._check_seats(by, None)
            room = self._make(RoomRecord(self._next(), name, "direct", "", "", "", "", True))
            number = self._log.last_id + 1
            pair = ((by, holding), (other_by, other))
            for who, whose in pair:
                self._sit(room, who, whose.name, number)
            self._direct[frozenset((by, other_by))] = room
            changes = [SeatChange(who, room.name, number, True) for who, _ in pair]
            self._log.change_seats(now, changes)
        return Seat(room.name, room.seats[by].number)

    def accept(self, now: Moment, digest: str, holding: Holding, by: str) -> Seat:
        """A seat by a pass. Raises NoSuchRoom, TooMany."""
        room = self._passes.get(digest)
        if room is None or room.passes[digest].until_ms < now.wall:
            raise no_such_room()
        found = room.passes[digest]
        if by in room.seats:
            return Seat(room.name, room.seats[by].number)
        self._check_seats(by, room)
        if found.uses is not None:
            left = found.uses - 1
            self._put_pass(room, digest, found._replace(uses=left) if left else None)
        return self._seat(now, room, holding, by)

    # --- going

    def leave(self, now: Moment, room: Room, holding: Holding, by: str) -> None:
        """End a seat."""
        change = self._stand_up(now, room, by)
        self._log.change_seats(now, [change])
        self._gone(now, room, holding, by)

    def end_stay(self, now: Moment, holding: Holding, by: str) -> None:
        """End all seats of an identity, and what goes with it."""
        rooms = list(self._inside.pop(by, {}).values())
        changes = [self._stand_up(now, room, by) for room in rooms]
        if by in self.lobby.seats:
            self._stand_up(now, self.lobby, by)
            rooms.append(self.lobby)
        if changes:
            self._log.change_seats(now, changes)
        for room in rooms:
            self._gone(now, room, holding, by)
        for key in self._blocked.pop(by, ()):
            self._log.changes.blocks[by, key] = False

    def _stand_up(self, now: Moment, room: Room, by: str) -> SeatChange:
        number = room.seats[by].number
        if room.kind == "direct":
            # While both are known by it.
            self._direct.pop(frozenset(room.seats), None)
        del room.seats[by]
        self._log.changes.seats[room.number, by] = None
        inside = self._inside.get(by)
        if inside is not None:
            inside.pop(room.name, None)
            if not inside:
                del self._inside[by]
        return SeatChange(by, room.name, number, False)

    def _gone(self, now: Moment, room: Room, holding: Holding, by: str) -> None:
        """What follows from somebody's seat having ended."""
        if room.kind == "direct":
            self.close(now, room, holding, by, f"{holding.name} left; this conversation is over")
            return
        self.notify(room, "leave", holding, by)
        if room is self.lobby:
            return
        if not room.seats and (room.kind == "private" or not room.said):
            self._end(room)
        elif room.owner == by:
            oldest = min(room.seats.items(), key=lambda item: item[1].number)
            self.give(now, room, *oldest)

    def close(self, now: Moment, room: Room, holding: Holding, by: str, text: str) -> None:
        """Say so, and end the room with all of its seats."""
        changes = [
            SeatChange(who, room.name, seat.number, False) for who, seat in room.seats.items()
        ]
        self._log.add(now, room, "notice", holding.name, text, by=by, seats=tuple(changes))
        for who in list(room.seats):
            self._stand_up(now, room, who)
        self._end(room)

    def give(self, now: Moment, room: Room, by: str, seat: SeatRecord) -> None:
        """Make somebody in the room its owner, and say so."""
        room.owner = by
        self.changed(room)
        self._log.add(now, room, "notice", seat.name, f"{seat.name} owns the room now", by=by)

    # --- what an owner does

    def check_owner(self, room: Room, by: str) -> None:
        """Raises Forbidden."""
        if room.kind != "private" or room.owner != by:
            raise not_the_owner()

    def by_name_key(self, room: Room, found: tuple[Holding, str] | None) -> tuple[str, SeatRecord]:
        """The identity and seat of somebody in the room. Raises BadRequest."""
        seat = room.seats.get(found[1]) if found else None
        if found is None or seat is None:
            raise nobody_here(found[0].name if found else "Nobody of that name")
        return found[1], seat

    def add_pass(self, now: Moment, room: Room, digest: str, days: float, uses: int | None) -> None:
        """Raises TooMany."""
        for old in [p for p in room.passes.values() if p.until_ms < now.wall]:
            self._put_pass(room, old.digest, None)
        if len(room.passes) >= MAX_PASSES:
            raise too_many(MAX_PASSES, "passes to a room")
        until = now.wall + round(days * DAY_MS)
        self._put_pass(room, digest, Pass(digest, room.number, until, uses))

    def revoke_passes(self, room: Room) -> None:
        """None of them is good any more."""
        for digest in list(room.passes):
            self._put_pass(room, digest, None)

    def check_heard(self, room: Room, key: str, by: str) -> None:
        """Raises Forbidden where the other one of two blocks the name with this key."""
        if room.kind == "direct":
            others = (who for who in room.seats if who != by)
            if any(key in self._blocked.get(other, ()) for other in others):
                raise not_heard()

    def block(self, by: str, key: str, on: bool) -> None:
        """Raises TooMany."""
        blocked = self._blocked.setdefault(by, {})
        if on and key not in blocked and len(blocked) >= MAX_BLOCKED:
            raise too_many(MAX_BLOCKED, "people blocked")
        if on == (key in blocked):
            return
        if on:
            blocked[key] = None
        else:
            del blocked[key]
        self._log.changes.blocks[by, key] = on

    # --- what is to be told

    def notify(self, room: Room, kind: NoticeType, holding: Holding, by: str) -> None:
        """Somebody has come or gone."""
        if room.notices is None:
            return
        number = self._last_notice + 1
        pending = Notice(number, kind, holding.key, holding.name, room.number, by)
        if room.notices.note(self._log.changes, pending):
            self._last_notice = pending.number
            self._log.changes.notices.append(pending)
            self._wait(room)

    def changed(self, room: Room) -> None:
        """The room is to be stored as it is now."""
        self._log.changes.rooms[room.number] = room.record

    def note_reaction(self, room: Room, message: int) -> None:
        """The reactions to a message have changed."""
        room.reacted[message] = None
        self._wait(room)
        self._log.changes.reacted[message] = room.number

    def _wait(self, room: Room) -> None:
        self._pending[room] = None
        self.due = min(self.due, room.due())

    def pending(self, steady: int) -> Iterator[Room]:
        """Rooms that have something to tell by now; whoever asks tells it."""
        if steady < self.due:
            return
        for room in list(self._pending):
            if room.due() <= steady:
                yield room
            if room.due() == math.inf:
                self._pending.pop(room, None)
        self.due = min((room.due() for room in self._pending), default=math.inf)

    # --- what all of it consists of

    def _check_seats(self, by: str, room: Room | None) -> None:
        if room is not self.lobby and len(self._inside.get(by, ())) >= MAX_ROOMS:
            raise too_many(MAX_ROOMS, "rooms")

    def _check_made(self, by: str) -> None:
        if self._made.get(by, 0) >= MAX_MADE:
            raise too_many(MAX_MADE, "rooms of your own")

    def _next(self) -> int:
        self._last_number += 1
        return self._last_number

    def _make(self, record: RoomRecord) -> Room:
        room = self._add(record)
        self._index(room)
        return room

    def _add(self, record: RoomRecord) -> Room:
        room = Room(record)
        self._by_number[room.number] = self._by_name[room.name] = room
        self.changed(room)
        return room

    def _seat(self, now: Moment, room: Room, holding: Holding, by: str) -> Seat:
        number = self._log.last_id + 1
        self._sit(room, by, holding.name, number)
        self._log.change_seats(now, [SeatChange(by, room.name, number, True)])
        self.notify(room, "join", holding, by)
        return Seat(room.name, number)

    def _sit(self, room: Room, by: str, name: str, number: int) -> None:
        record = SeatRecord(number, name, room.said)
        room.seats[by] = self._log.changes.seats[room.number, by] = record
        if room is not self.lobby:
            self._inside.setdefault(by, {})[room.name] = room

    def _put_pass(self, room: Room, digest: str, record: Pass | None) -> None:
        self._log.changes.passes[digest] = record
        if record is None:
            del room.passes[digest]
            del self._passes[digest]
        else:
            room.passes[digest] = record
            self._passes[digest] = room

    def _end(self, room: Room) -> None:
        """The room is no more: nobody is in it, and its name means nothing."""
        self.revoke_passes(room)
        changes = self._log.changes
        if room.notices is not None:
            changes.told += room.notices.forget()
        for message in room.reacted:
            changes.reacted[message] = None
        room.reacted.clear()
        self._pending.pop(room, None)
        if room.maker:
            left = self._made[room.maker] - 1
            self._made[room.maker] = left
            if not left:
                del self._made[room.maker]
        del self._by_number[room.number]
        del self._by_name[room.name]
        changes.rooms[room.number] = None


def users_of(room: Room, limit: int) -> tuple[str, ...]:
    """The first names in the room, in the order in which they came."""
    return tuple(seat.name for seat in islice(room.seats.values(), limit))
