"""The store in this process's memory, for tests and for trying things out: nothing survives it."""

import secrets
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from heapq import merge
from itertools import islice, takewhile
from operator import attrgetter
from typing import Final, TypeVar

from msgspec.structs import replace

from capnweb_sync.runtimes.fork import in_child
from chatserver.errors import ChatError
from chatserver.people.token_terms import Role
from chatserver.store.events import SEED_TYPES, Event, Reactions
from chatserver.store.inherited import inherit
from chatserver.store.interface import KEY_MS, MAX_READ_EVENTS, MAX_TRIM, Clock, Policy, cut
from chatserver.store.local import LocalStore, Operation, with_all_of_the_last
from chatserver.store.people_interface import PersonInfo, PlaceInfo
from chatserver.store.seats import MAX_REACTION_NAMES, Occupant, RoomInfo, Seat
from chatserver.store.state import ChatState
from chatserver.store.state.archive import MAX_ERASED
from chatserver.store.state.moderation import role_in
from chatserver.store.state.records import Lobby, Somebody, StoredMessage, Trace, UsedKey
from chatserver.store.state.room import Room
from chatserver.store.values import Span

T = TypeVar("T")

EPOCH_BYTES: Final = 8
"""Randomness of the name of a log's incarnation: no two logs of one place share it."""

by_id = attrgetter("id")


class MemoryArchive:
    """The entries of the log, and what was made of messages."""

    def __init__(self) -> None:
        self.used_keys: dict[bytes, UsedKey] = {}
        self.log: list[Event] = []
        self._rooms: dict[str, list[Event]] = {}
        self._numbers: dict[str, int] = {}
        self._reactions: dict[int, dict[str, dict[str, str]]] = {}

    def called(self, room: str, number: int) -> None:
        """The number of a room."""
        self._numbers[room] = number

    def forget(self, number: int) -> None:
        """Erase what was said in a room that has ended."""
        for name in [name for name, known in self._numbers.items() if known == number]:
            del self._numbers[name]
            for event in self._rooms.pop(name, ()):
                nothing = Event(event.id, "seat", "", "", event.time_ms, room="")
                self.log[event.id - self.log[0].id] = nothing

    def add(self, event: Event, room: int | None) -> None:
        self.log.append(event)
        if room is not None:
            self._rooms.setdefault(event.room, []).append(event)

    def trim(self, keep_from: int) -> None:
        """Remove what is older."""
        del self.log[: keep_from - self.log[0].id]
        for events in self._rooms.values():
            del events[: position(events, keep_from)]

    def used_key(self, digest: bytes) -> UsedKey | None:
        return self.used_keys.get(digest)

    def message(self, message: int) -> StoredMessage | None:
        event = self._entry(message)
        if event is None or event.type != "chat":
            return None
        return StoredMessage(self._numbers.get(event.room, 0), event.by, event.removed)

    def number_at(self, room: int, event: int) -> int:
        for name, number in self._numbers.items():
            if number == room:
                events = self._rooms.get(name, [])
                index = position(events, event + 1)
                return events[index - 1].number if index else 0
        return 0

    def traces_of(self, by: str, cursor: str) -> tuple[list[Trace], str]:
        found = list(islice(self._traces_of(by, int(cursor or 0)), MAX_ERASED + 1))
        further = str(found[MAX_ERASED].message) if len(found) > MAX_ERASED else ""
        return found[:MAX_ERASED], further

    def _traces_of(self, by: str, start: int) -> Iterator[Trace]:
        for event in islice(self.log, position(self.log, start), None):
            if event.type != "chat" or event.removed:
                continue
            kinds = self._reactions.get(event.id, {})
            reacted = [emoji for emoji, who in kinds.items() if by in who]
            for emoji in [""] if event.by == by else reacted:
                yield Trace(event.id, self._numbers[event.room], emoji)

    def edit(self, message: int, text: str, time_ms: int) -> None:
        event = self._entry(message)
        assert event is not None
        self._put(replace(event, text=text, edited_ms=time_ms))

    def erase(self, message: int) -> None:
        event = self._entry(message)
        assert event is not None
        self._put(replace(event, text="", removed=True, edited_ms=0))
        self._reactions.pop(message, None)
        for edit in [e for e in self._rooms[event.room] if e.target == message]:
            if edit.type == "edit":
                self._put(replace(edit, text="", removed=True))

    def has_reacted(self, message: int, emoji: str, by: str) -> bool:
        return by in self._reactions.get(message, {}).get(emoji, ())

    def react(self, message: int, emoji: str, by: str, name: str, on: bool) -> None:
        kinds = self._reactions.setdefault(message, {})
        if on:
            kinds.setdefault(emoji, {})[by] = name
            return
        del kinds[emoji][by]
        if not kinds[emoji]:
            del kinds[emoji]

    def kinds(self, message: int) -> Collection[str]:
        return self._reactions.get(message, {})

    def reactions(self, message: int) -> Reactions:
        return {
            emoji: (len(names), tuple(islice(names.values(), MAX_REACTION_NAMES)))
            for emoji, names in self._reactions.get(message, {}).items()
        }

    def read(self, span: Span) -> Iterator[Event]:
        """The events of a room, from the oldest of the span on or from the newest."""
        events = self._rooms.get(span.room, [])
        end = len(events) if span.before is None else position(events, span.before)
        indexes = range(position(events, span.after + 1), end)
        for index in reversed(indexes) if span.newest else indexes:
            event = events[index]
            if span.kinds == "seed" and event.type not in SEED_TYPES:
                continue
            if span.kinds == "messages":
                if event.type != "chat":
                    continue
                event = replace(event, reactions=self.reactions(event.id))
            yield event

    def _entry(self, number: int) -> Event | None:
        index = number - self.log[0].id if self.log else -1
        return self.log[index] if 0 <= index < len(self.log) else None

    def _put(self, event: Event) -> None:
        self.log[event.id - self.log[0].id] = event
        events = self._rooms[event.room]
        events[position(events, event.id)] = event


class MemoryStore(LocalStore):
    """`memory:`. Operations are applied and answered at once."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        super().__init__()
        self.epoch = secrets.token_hex(EPOCH_BYTES)
        self._policy = policy
        self._clock = clock
        self._archive = MemoryArchive()
        self._state = ChatState(policy, self._archive)
        self._carry_out()
        in_child(self, inherit)

    def submit(self, operation: Operation[T]) -> "Future[T]":
        future: Future[T] = Future()
        try:
            result = operation(self._state, self._clock())
        except ChatError as error:
            future.set_exception(error)
            return future
        self._carry_out()
        future.set_result(result)
        return future

    def _carry_out(self) -> None:
        changes = self._state.take_changes()
        self._archive.used_keys.update(changes.used_keys)
        for number, record in changes.rooms.items():
            if record is None:
                self._archive.forget(number)
            else:
                self._archive.called(record.name, number)
        self._publish(changes)

    def tick(self) -> "Future[float]":
        self._trim()
        return super().tick()

    def _trim(self) -> None:
        """Remove the oldest events that the policy does not keep, and keys past their time."""
        now = self._clock().wall
        first, last = self._state.first_id, self._state.last_id
        keep_from = self._policy.keep_from(first, last, now, self._first_young)
        if keep_from > first:
            self._archive.trim(keep_from)
            self._state.first_id = keep_from
        used_keys = self._archive.used_keys
        for used in list(takewhile(lambda used: used.time_ms < now - KEY_MS, used_keys.values())):
            del used_keys[used.digest]

    def _first_young(self, oldest_ms: int) -> int:
        oldest = self._archive.log[:MAX_TRIM]
        old = sum(1 for _ in takewhile(lambda event: event.time_ms < oldest_ms, oldest))
        return self._state.first_id + old

    # --- reading

    def lobby(self) -> Lobby:
        return self._state.lobby

    def read_log(self, after: int) -> list[Event]:
        log = self._archive.log
        return cut(islice(log, position(log, after + 1), None), MAX_READ_EVENTS)

    def read_span(self, span: Span) -> list[Event]:
        if span.by is not None:
            room = self._seated(span.by, Seat(span.room, span.seat))
            if room.hidden:
                span = span._replace(after=max(span.after, span.seat))
        return cut(self._archive.read(span), span.limit)

    def read_rooms(self, afters: Mapping[str, int], before: int, limit: int) -> list[Event]:
        found = [
            self._archive.read(Span(name, "events", after, before, limit, False))
            for name, after in afters.items()
        ]
        return cut(merge(*found, key=by_id), limit)

    def people(self, by: str, seat: Seat, after: str | None, limit: int) -> list[Occupant]:
        room, names = self._seated(by, seat), self._state.names_held
        everyone = sorted((record.name, who) for who, record in room.seats.items())
        return [
            Occupant(
                name,
                names.is_here(who),
                role_in(room.kind, room.owner == who, names.role_of(who)),
            )
            for name, who in islice(
                (one for one in everyone if after is None or one[0] > after), limit
            )
        ]

    def room(self, by: str, seat: Seat) -> RoomInfo:
        return info(self._seated(by, seat), by)

    def rooms(
        self, by: str, after: str | None, limit: int, *, inside: bool = False
    ) -> list[RoomInfo]:
        seen = sorted(
            (
                room
                for room in self._state.rooms
                if by in room.seats or (room.kind == "public" and not inside)
            ),
            key=attrgetter("name"),
        )
        found = (info(room, by) for room in seen if after is None or room.name > after)
        return list(islice(found, limit))

    def blocked(self, by: str, after: str | None, limit: int) -> list[str]:
        names = self._state.names_held
        keys = sorted(self._state.rooms.blocked(by))
        found = (names.find(key) or Somebody(key, key, "") for key in keys)
        return [who.name for who in found if after is None or who.key > after][:limit]

    def _seated(self, by: str, seat: Seat) -> Room:
        return self._state.seating.seated(by, seat)

    # --- for admins

    def everyone(self, after: str | None, limit: int) -> list[PersonInfo]:
        names, seating = self._state.names_held, self._state.seating
        found = {account.who: account.role for account in names.accounts}
        guests = (holding.who for holding in names if not holding.who.account)
        known: list[tuple[Somebody, Role | None]] = [
            *found.items(),
            *((who, None) for who in guests),
        ]
        return [
            PersonInfo(who.name, role, names.is_here(who.by), len(seating.seats_of(who.by)))
            for who, role in sorted(known, key=name_of)
            if after is None or who.name > after
        ][:limit]

    def places(self, after: str | None, limit: int) -> list[PlaceInfo]:
        stays = sorted(
            (holding.who.name, holding.holder or "", holding.who.account)
            for holding in self._state.names_held
        )
        found = (
            PlaceInfo(name, account, holder or None)
            for name, holder, account in stays
            if after is None or name > after
        )
        return with_all_of_the_last(found, limit)

    def all_rooms(self, after: str | None, limit: int) -> list[RoomInfo]:
        rooms = sorted(
            (room for room in self._state.rooms if room.kind != "direct"), key=attrgetter("name")
        )
        found = (info(room, "") for room in rooms if after is None or room.name > after)
        return list(islice(found, limit))

    def statistics(self) -> dict[str, int]:
        names = self._state.names_held
        return {
            "accounts": len(list(names.accounts)),
            "online": names.online,
            "places": len(list(names)),
            "rooms": len(list(self._state.rooms)),
            "messages": sum(room.said for room in self._state.rooms),
            "events": self._state.last_id + 1 - self._state.first_id,
            "sanctions": len(self._state.sanctions),
        }

    def close(self) -> None:
        """Nothing to let go of."""


def position(events: Sequence[Event], number: int) -> int:
    """Where the first event is whose id is not below `number`."""
    return bisect_left(events, number, key=by_id)


def name_of(known: tuple[Somebody, Role | None]) -> str:
    """What people are sorted by."""
    return known[0].name


def info(room: Room, by: str) -> RoomInfo:
    """The room as this identity sees it."""
    seat = room.seats.get(by)
    others = [record.name for who, record in room.seats.items() if who != by]
    return RoomInfo(
        room.name,
        room.kind,
        room.title,
        room.topic,
        len(room.seats),
        room.last_id,
        None if seat is None else seat.number,
        0 if seat is None else room.said - seat.read,
        others[0] if room.kind == "direct" and others else None,
        room.kind == "private" and room.owner == by,
        room.everything,
    )
