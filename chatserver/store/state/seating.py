"""Who is in which room, and who is online."""

from collections.abc import Collection
from itertools import islice

from chatserver.store.events import MAX_USERS
from chatserver.store.refusals import no_such_room, nobody_here, not_seated
from chatserver.store.seats import LOBBY, MAX_PRESENCE, Aside, Seat, SeatChange
from chatserver.store.state.log import LogEnd
from chatserver.store.state.records import Holding, RoomRecord, SeatRecord, Somebody
from chatserver.store.state.room import Room
from chatserver.store.state.rooms import Rooms, bounds
from chatserver.store.state.sanctions import Sanctions
from chatserver.store.values import Moment


class Seating:
    """The seats in all rooms. What is done here was allowed already, but for what a method says
    that it raises; then nothing has changed."""

    def __init__(
        self, log: LogEnd, rooms: Rooms, sanctions: Sanctions, online: dict[str, Somebody]
    ) -> None:
        """`online` are those who have a stay, by identity."""
        self._log = log
        self._rooms = rooms
        self._sanctions = sanctions
        self._present = {by: online[by] for by in rooms.lobby.seats if by in online}
        """Who is in the lobby and online, in joining order, by identity."""

    # --- looking

    @property
    def present(self) -> int:
        """How many are in the lobby and online."""
        return len(self._present)

    @property
    def people(self) -> Collection[Somebody]:
        """Who they are, in joining order; it goes on changing."""
        return self._present.values()

    def users(self) -> tuple[str, ...]:
        """The names of as many of them as an answer lists."""
        return tuple(who.name for who in islice(self._present.values(), MAX_USERS))

    def seated(self, by: str, seat: Seat) -> Room:
        """The room in which this identity has this seat. Raises NotJoined."""
        room = self._rooms.named(seat.room)
        record = room and room.seats.get(by)
        if room is None or record is None or record.number != seat.number:
            raise not_seated()
        return room

    def seats_of(self, by: str) -> tuple[Seat, ...]:
        """All seats of an identity, that in the lobby first."""
        lobby = self._rooms.lobby.seats.get(by)
        seats = () if lobby is None else (Seat(LOBBY, lobby.number),)
        inside = self._rooms.inside(by)
        if not inside:
            return seats
        return (*seats, *(Seat(room.name, room.seats[by].number) for room in inside.values()))

    def inside(self, room: Room, who: Somebody | None) -> tuple[Somebody, SeatRecord]:
        """Somebody, if in the room. Raises BadRequest."""
        seat = room.seats.get(who.by) if who else None
        if who is None or seat is None:
            raise nobody_here(who.name if who else "Nobody of that name")
        return who, seat

    # --- coming

    def come_in(self, who: Somebody) -> None:
        """A seat in the lobby with the stay itself."""
        if who.by not in self._rooms.lobby.seats:
            self._sit(self._rooms.lobby, who, self._log.last_id)
            self._appear(who)

    def enter(self, now: Moment, name: str, holding: Holding, makes: bool = True) -> Seat:
        """The seat in a room that is there already, or in a public one, made if there is none
        and `makes`. Raises NoSuchRoom, Banned, TooMany."""
        who, rooms = holding.who, self._rooms
        room = rooms.named(name)
        if room is not None and who.by in room.seats:
            return Seat(name, room.seats[who.by].number)
        if room is None and not makes:
            raise no_such_room()
        if name[:1] in "+@" or (room is not None and room.kind != "public"):
            raise no_such_room()
        if room is not None:
            self._sanctions.check_let_in(now, name, who.by, holding.address)
        if room is not rooms.lobby:
            rooms.check_seats(who)
        if room is None:
            rooms.check_made(who)
            room = rooms.make(RoomRecord(0, name, "public", name, "", "", who.by, True))
        return self._seat(now, room, who)

    def open(self, now: Moment, record: RoomRecord, who: Somebody) -> Seat:
        """A new private room. `record` has no number yet. Raises TooMany."""
        self._rooms.check_seats(who)
        self._rooms.check_made(who)
        return self._seat(now, self._rooms.make(record), who)

    def direct(self, now: Moment, name: str, who: Somebody, other: Somebody | None) -> Seat:
        """The room of two, made with this name if there is none; `other` None: nobody. Raises
        NoSuchRoom, TooMany."""
        # Nobody is looked for in the same way as somebody: the time it takes tells nothing.
        whom = other or Somebody("", "", "")
        room = self._rooms.direct(who.by, whom.by)
        if room is None:
            inside, most = self._rooms.inside(whom.by), bounds(whom)
            directs = [room for room in inside.values() if room.kind == "direct"]
            full = len(inside) >= most.rooms or len(directs) >= most.direct
            blocked = self._rooms.blocks(whom.by, who.key)
            if other is None or who.by == whom.by or full or blocked:
                raise no_such_room()
            self._rooms.check_seats(who)
            room = self._rooms.make(RoomRecord(0, name, "direct", "", "", "", "", True))
            number = self._log.last_id + 1
            for one in (who, other):
                self._sit(room, one, number)
            self._rooms.index_pair(room)
            changes = [SeatChange(one.by, room.name, number, True) for one in (who, other)]
            self._log.change_seats(now, changes)
        return Seat(room.name, room.seats[who.by].number)

    def accept(self, now: Moment, digest: str, holding: Holding) -> Seat:
        """A seat by a pass. Raises NoSuchRoom, Banned, TooMany."""
        who = holding.who
        room = self._rooms.with_pass(digest)
        if room is None or room.passes[digest].until_ms < now.wall:
            raise no_such_room()
        if who.by in room.seats:
            return Seat(room.name, room.seats[who.by].number)
        self._sanctions.check_let_in(now, room.name, who.by, holding.address)
        self._rooms.check_seats(who)
        self._rooms.use_pass(room, digest)
        return self._seat(now, room, who)

    # --- going

    def leave(self, now: Moment, room: Room, who: Somebody) -> None:
        """End a seat."""
        self._log.change_seats(now, [self._stand_up(room, who.by)])
        self._gone(now, room, who)

    def send_out(self, now: Moment, room: Room, who: Somebody, doer: Somebody, text: str) -> None:
        """End a seat, which its holder hears of by this, last of all."""
        change = SeatChange(who.by, room.name, room.seats[who.by].number, False)
        self._log.add(now, room, "notice", doer.name, text, by=doer.by, seats=(change,))
        self._stand_up(room, who.by)
        self._gone(now, room, who, told=True)

    def end_stay(self, now: Moment, who: Somebody) -> None:
        """End all seats of an identity, and what goes with it."""
        rooms = list(self._rooms.inside(who.by).values())
        changes = [self._stand_up(room, who.by) for room in rooms]
        was_present = who.by in self._present
        if who.by in self._rooms.lobby.seats:
            self._stand_up(self._rooms.lobby, who.by)
        if changes:
            self._log.change_seats(now, changes)
        for room in rooms:
            self._gone(now, room, who)
        if was_present:
            self._rooms.notify(self._rooms.lobby, "leave", who)
        self._rooms.forget_blocks(who.by)

    def close(self, now: Moment, room: Room, doer: Somebody, text: str) -> None:
        """Say so, and end the room with all of its seats."""
        changes = [SeatChange(by, room.name, seat.number, False) for by, seat in room.seats.items()]
        self._log.add(now, room, "notice", doer.name, text, by=doer.by, seats=tuple(changes))
        for by in list(room.seats):
            self._stand_up(room, by)
        self._rooms.end(room)

    def give(self, now: Moment, room: Room, by: str, seat: SeatRecord) -> None:
        """Make somebody in the room its owner, and say so."""
        room.owner = by
        self._rooms.changed(room)
        self._log.add(now, room, "notice", seat.name, f"{seat.name} owns the room now", by=by)

    # --- being online

    def come_online(self, who: Somebody) -> None:
        """An account has a place, for the first time in a while."""
        if who.by in self._rooms.lobby.seats:
            self._appear(who)
        self._tell_presence(who, True)

    def go_offline(self, who: Somebody) -> None:
        """An account has no place any more."""
        if self._present.pop(who.by, None) is not None:
            self._rooms.notify(self._rooms.lobby, "leave", who)
        self._tell_presence(who, False)

    def _appear(self, who: Somebody) -> None:
        self._present[who.by] = who
        self._rooms.notify(self._rooms.lobby, "join", who)

    def _tell_presence(self, who: Somebody, online: bool) -> None:
        if len(self._rooms.inside(who.by)) > MAX_PRESENCE:
            return
        for seat in self.seats_of(who.by):
            room = self._rooms.named(seat.room)
            if room is not None and len(room.seats) <= MAX_PRESENCE:
                aside = Aside(room.name, "presence", who.name, who.by, online)
                self._log.changes.asides.append(aside)

    # --- what these consist of

    def _seat(self, now: Moment, room: Room, who: Somebody) -> Seat:
        number = self._log.last_id + 1
        self._sit(room, who, number)
        self._log.change_seats(now, [SeatChange(who.by, room.name, number, True)])
        if room is self._rooms.lobby:
            self._appear(who)
        else:
            self._rooms.notify(room, "join", who)
        return Seat(room.name, number)

    def _sit(self, room: Room, who: Somebody, number: int) -> None:
        record = SeatRecord(number, who.name, room.said)
        room.seats[who.by] = self._log.changes.seats[room.number, who.by] = record
        self._rooms.index_seat(room, who.by)

    def _stand_up(self, room: Room, by: str) -> SeatChange:
        number = room.seats[by].number
        self._rooms.forget_seat(room, by)
        del room.seats[by]
        self._log.changes.seats[room.number, by] = None
        if room is self._rooms.lobby:
            self._present.pop(by, None)
        return SeatChange(by, room.name, number, False)

    def _gone(self, now: Moment, room: Room, who: Somebody, *, told: bool = False) -> None:
        """What follows from somebody's seat having ended, of which the room was `told`, or is to
        be."""
        if room.kind == "direct":
            self.close(now, room, who, f"{who.name} left; this conversation is over")
            return
        if not told:
            self._rooms.notify(room, "leave", who)
        if room is self._rooms.lobby:
            return
        if not room.seats and (room.kind == "private" or not room.said):
            self._rooms.end(room)
        elif room.owner == who.by:
            oldest = min(room.seats.items(), key=lambda item: item[1].number)
            self.give(now, room, *oldest)
