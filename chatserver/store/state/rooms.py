"""Which rooms there are, what is to be told in them, and whose they are."""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from chatserver.store.events import NoticeType
from chatserver.store.interface import DAY_MS
from chatserver.store.refusals import not_heard, too_many
from chatserver.store.seats import ACCOUNT, GUEST, LOBBY, MAX_BLOCKED, MAX_PASSES, Bounds
from chatserver.store.state.log import LogEnd
from chatserver.store.state.records import Notice, Pass, RoomRecord, Somebody
from chatserver.store.state.room import Room
from chatserver.store.state.sanctions import Sanctions
from chatserver.store.values import Moment

LOBBY_NUMBER: Final = 1
"""What the lobby is called in the store."""


class Rooms:
    """All rooms. What is done here was allowed already, but for what a method says that it raises;
    then nothing has changed."""

    def __init__(
        self,
        log: LogEnd,
        sanctions: Sanctions,
        rooms: Iterable[Room] = (),
        *,
        last_number: int = LOBBY_NUMBER,
    ) -> None:
        """`rooms` with their seats and all else; the lobby is made if it is not among them.
        `last_number` is not to be given again."""
        self._log = log
        self._sanctions = sanctions
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

    def inside(self, by: str) -> dict[str, Room]:
        """The rooms beside the lobby in which an identity has a seat, by name."""
        return self._inside.get(by, {})

    def with_pass(self, digest: str) -> Room | None:
        """The room into which the pass with this digest leads."""
        return self._passes.get(digest)

    def direct(self, by: str, other: str) -> Room | None:
        """The room of these two."""
        return self._direct.get(frozenset((by, other)))

    def blocks(self, by: str, key: str) -> bool:
        """Whether an identity blocks the name with this key."""
        return key in self._blocked.get(by, ())

    def blocked(self, by: str) -> Collection[str]:
        """The keys of all names that an identity blocks."""
        return self._blocked.get(by, {})

    # --- keeping the indexes of who is where

    def index_seat(self, room: Room, by: str) -> None:
        """The identity has a seat in the room now."""
        if room is not self.lobby:
            self._inside.setdefault(by, {})[room.name] = room

    def index_pair(self, room: Room) -> None:
        """Those in it are its two, from now on."""
        self._direct[frozenset(room.seats)] = room

    def forget_seat(self, room: Room, by: str) -> None:
        """The identity, which has one, is about to have no seat in the room."""
        if room.kind == "direct":
            # While both are known by it.
            self._direct.pop(frozenset(room.seats), None)
        inside = self._inside.get(by)
        if inside is not None:
            inside.pop(room.name, None)
            if not inside:
                del self._inside[by]

    # --- whose they are

    def add_pass(self, now: Moment, room: Room, digest: str, days: float, uses: int | None) -> None:
        """Raises TooMany."""
        for old in [p for p in room.passes.values() if p.until_ms < now.wall]:
            self._put_pass(room, old.digest, None)
        if len(room.passes) >= MAX_PASSES:
            raise too_many(MAX_PASSES, "passes to a room")
        until = now.wall + round(days * DAY_MS)
        self._put_pass(room, digest, Pass(digest, room.number, until, uses))

    def use_pass(self, room: Room, digest: str) -> None:
        """Somebody comes in by it."""
        found = room.passes[digest]
        if found.uses is not None:
            left = found.uses - 1
            self._put_pass(room, digest, found._replace(uses=left) if left else None)

    def revoke_passes(self, room: Room) -> None:
        """None of them is good any more."""
        for digest in list(room.passes):
            self._put_pass(room, digest, None)

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

    def forget_blocks(self, by: str) -> None:
        """The identity is no more."""
        for key in self._blocked.pop(by, ()):
            self._log.changes.blocks[by, key] = False

    def check_heard(self, room: Room, who: Somebody) -> None:
        """Raises Forbidden where the other one of two blocks who speaks."""
        if room.kind == "direct" and any(
            self.blocks(other, who.key) for other in room.seats if other != who.by
        ):
            raise not_heard()

    # --- what is to be told

    def notify(self, room: Room, kind: NoticeType, who: Somebody) -> None:
        """Somebody has come or gone."""
        if room.notices is None:
            return
        number = self._last_notice + 1
        pending = Notice(number, kind, who.key, who.name, room.number, who.by)
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

    # --- making and ending

    def check_seats(self, who: Somebody) -> None:
        """Whether one may have another seat beside the lobby. Raises TooMany."""
        most = bounds(who).rooms
        if len(self.inside(who.by)) >= most:
            raise too_many(most, "rooms")

    def check_made(self, who: Somebody) -> None:
        """Whether one may make another room. Raises TooMany."""
        most = bounds(who).made
        if self._made.get(who.by, 0) >= most:
            raise too_many(most, "rooms of your own")

    def make(self, record: RoomRecord) -> Room:
        """A new room; `record` has no number yet."""
        self._last_number += 1
        room = self._add(record._replace(number=self._last_number))
        self._index(room)
        return room

    def end(self, room: Room) -> None:
        """The room is no more: nobody is in it, and its name means nothing."""
        self.revoke_passes(room)
        self._sanctions.end_room(self._log.changes, room.name)
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

    def _add(self, record: RoomRecord) -> Room:
        room = Room(record)
        self._by_number[room.number] = self._by_name[room.name] = room
        self.changed(room)
        return room

    def _put_pass(self, room: Room, digest: str, record: Pass | None) -> None:
        self._log.changes.passes[digest] = record
        if record is None:
            del room.passes[digest]
            del self._passes[digest]
        else:
            room.passes[digest] = record
            self._passes[digest] = room


def bounds(who: Somebody) -> Bounds:
    """What one may have of rooms."""
    return ACCOUNT if who.account else GUEST
