"""What Redis holds, as records and of records; see `chatserver.store.contents`, and `state.lua` for
what is kept where.

No server may be at it meanwhile: this reads and writes piece by piece.
"""

import heapq
import time
from collections.abc import Iterator
from operator import itemgetter
from typing import Any, Final

from msgspec.structs import replace

from chatserver.errors import StartError
from chatserver.store.contents import (
    FORMAT,
    AccountRecord,
    AnyRecord,
    BlockRecord,
    ErasedRecord,
    EventRecord,
    Head,
    KeyRecord,
    NameRecord,
    NoticeRecord,
    PassRecord,
    ReactedRecord,
    ReactionRecord,
    RoomRecord,
    SanctionRecord,
    SeatRecord,
)
from chatserver.store.events import Event
from chatserver.store.redis.connection import RedisConnection
from chatserver.store.redis.entries import room_event
from chatserver.store.redis.operations import decode
from chatserver.store.redis.scripts import META, PREFIX
from chatserver.store.seats import EVERYWHERE, LOBBY, MODERATORS_RANK

SENT: Final = "{chat}:sent:"
"""Keys are where the version before rooms had them."""

CHUNK: Final = 500
"""Entries that are asked for, and commands that are sent, at a time."""

IN_USE_SECONDS: Final = 1.0
"""A server that is there says so several times in this time."""


def refuse_if_in_use(connection: RedisConnection, shown: str) -> None:
    """Raise StartError if a server uses this store. Raises RedisError."""
    seen = connection.ask("HGET", META, "seen")
    time.sleep(IN_USE_SECONDS)
    if connection.ask("HGET", META, "seen") != seen:
        raise StartError(f"The store {shown} is in use; stop all servers on it first.")


class RedisContents:
    """The contents behind a connection. Raises RedisError."""

    def __init__(self, connection: RedisConnection) -> None:
        """Raises StartError if there is no log of this version."""
        self._connection = connection
        self._ask = connection.ask
        self._ask_all = connection.ask_all
        self._meta = {name.decode(): value.decode() for name, value in self._hash(META)}
        if "epoch" not in self._meta:
            raise StartError(
                "There is no log of this version in Redis; start the server on it once, which"
                " brings an earlier one up to date."
            )
        uncounted = int(self._meta["uncounted"])
        rooms = [
            [name.decode(), *decode(value)]
            for name, value in self._hash(f"{PREFIX}rooms")
            if name != EVERYWHERE.encode()
        ]
        self._rooms = []
        for name, number, kind, title, topic, owner, maker, everything, last_id, said, *_ in sorted(
            rooms, key=itemgetter(1)
        ):
            counted = said + self._extra(name, uncounted)
            self._rooms.append(
                RoomRecord(
                    *(number, name, kind, title, topic, owner, maker, everything, last_id, counted)
                )
            )
        self._uncounted = uncounted

    def damage(self) -> Iterator[str]:
        yield from ()  # Redis looks at its files when it reads them

    def records(self) -> Iterator[AnyRecord]:
        meta = {name: int(self._meta[name]) for name in ("first_id", "last_id", "last_ms")}
        last_sanction = int(self._meta.get("sanction", 0))
        yield Head(FORMAT, self._meta["epoch"], **meta, last_sanction=last_sanction)
        known = {key.decode(): decode(packed) for key, packed in self._hash(f"{PREFIX}names")}
        yield from _accounts(known)
        yield from sorted(_stays(known), key=lambda record: record.number)
        yield from self._rooms
        for room in self._rooms:
            yield from self._seats(room)
        yield from self._passes()
        for by in sorted(record["by"] for record in known.values()):
            for key in sorted(self._ask("SMEMBERS", f"{PREFIX}blocks:{by}")):
                yield BlockRecord(by, key.decode())
        for by, revoked in sorted(self._hash(f"{PREFIX}revoked")):
            yield ErasedRecord(by.decode(), int(revoked))
        yield from sorted(self._sanctions(), key=lambda record: record.number)
        for room in self._rooms:
            for packed in self._ask("LRANGE", f"{PREFIX}notices:{room.number}", 0, -1):
                yield NoticeRecord(room.number, *decode(packed))
        yield from sorted(self._reacted(), key=lambda record: record.id)
        places = [(EVERYWHERE, 0), *((room.name, room.number) for room in self._rooms)]
        events = (self._events(name, number) for name, number in places)
        yield from map(EventRecord, heapq.merge(*events, key=lambda event: event.id))
        for message, number in sorted(self._messages_with_reactions()):
            yield from self._reactions(message, number)
        yield from sorted(self._keys(), key=lambda record: (record.id, record.digest))

    def _extra(self, room: str, uncounted: int) -> int:
        """What its messages are to be counted with that it does not know of itself."""
        return uncounted if room == LOBBY else 0

    def _hash(self, key: str) -> list[tuple[bytes, bytes]]:
        flat = iter(self._ask("HGETALL", key))
        return list(zip(flat, flat, strict=True))

    def _seats(self, room: RoomRecord) -> list[SeatRecord]:
        extra = self._extra(room.name, self._uncounted)
        # A version without accounts had the places in the order, where all were.
        flat = iter(self._ask("ZRANGE", f"{PREFIX}order", 0, -1, "WITHSCORES"))
        order = {name.decode(): float(place) for name, place in zip(flat, flat, strict=True)}
        seats = []
        for by, packed in self._hash(f"{PREFIX}seats:{room.number}"):
            number, name, read, _, *place = decode(packed)
            seat = SeatRecord(room.number, by.decode(), number, name, read + extra)
            seats.append((place[0] if place else order.get(name, 0), seat))
        if room.name == LOBBY:
            return [seat for _, seat in sorted(seats, key=itemgetter(0))]
        return sorted((seat for _, seat in seats), key=lambda seat: (seat.number, seat.by))

    def _passes(self) -> Iterator[PassRecord]:
        numbers = {room.name: room.number for room in self._rooms}
        for digest, packed in sorted(self._hash(f"{PREFIX}passes")):
            room, until_ms, uses = decode(packed)
            yield PassRecord(digest.decode(), numbers[room], until_ms, uses or None)

    def _reacted(self) -> Iterator[ReactedRecord]:
        for room in self._rooms:
            for message in self._ask("ZRANGE", f"{PREFIX}reacting:{room.number}", 0, -1):
                yield ReactedRecord(int(message), room.number)

    def _sanctions(self) -> Iterator[SanctionRecord]:
        ranks = dict(self._hash(f"{PREFIX}ranks"))
        for number, packed in self._hash(f"{PREFIX}sanctions"):
            *fields, until_ms = decode(packed)
            rank = int(ranks.get(number, MODERATORS_RANK))
            yield SanctionRecord(*(int(number), *fields, until_ms or None, rank))

    def _events(self, room: str, number: int) -> Iterator[Event]:
        extra = self._extra(room, self._uncounted)
        begin = f"{self._meta['first_id']}-0"
        while entries := self._ask("XRANGE", f"{PREFIX}log:{number}", begin, "+", "COUNT", CHUNK):
            ids = [entry.partition(b"-")[0] for entry, _ in entries]
            texts, edited = self._ask_all(
                ("HMGET", f"{PREFIX}texts:{number}", *ids),
                ("HMGET", f"{PREFIX}edited:{number}", *ids),
            )
            for (_, (kind, body)), event_id, text, packed in zip(
                entries, ids, texts, edited, strict=True
            ):
                when = decode(packed)[0] if packed and kind == b"chat" else 0
                event = room_event(room, [int(event_id), kind, body, text, when, None])
                yield replace(event, number=event.number + extra) if extra else event
            begin = f"({entries[-1][0].decode()}"

    def _messages_with_reactions(self) -> Iterator[tuple[int, int]]:
        for room in self._rooms:
            for message in self._ask("HKEYS", f"{PREFIX}reactions:{room.number}"):
                if int(message) >= int(self._meta["first_id"]):
                    yield int(message), room.number

    def _reactions(self, message: int, room: int) -> Iterator[ReactionRecord]:
        for emoji in decode(self._ask("HGET", f"{PREFIX}reactions:{room}", message)):
            for member in self._ask("ZRANGE", f"{PREFIX}reacted:{message}:{emoji}", 0, -1):
                by, _, name = member.decode().partition(" ")
                yield ReactionRecord(message, room, emoji, by, name)

    def _keys(self) -> Iterator[KeyRecord]:
        for key in sorted(set(scan(self._connection, SENT))):
            packed = self._ask("GET", key)
            if packed is not None:  # else its time was up just now
                yield KeyRecord(key.decode().removeprefix(SENT), *decode(packed))


def _accounts(known: dict[str, Any]) -> Iterator[AccountRecord]:
    for key, record in sorted(known.items()):
        if "places" in record:
            fields = (record[field] for field in ("name", "subject", "role", "revoked"))
            yield AccountRecord(key, *fields)


def _stays(known: dict[str, Any]) -> Iterator[NameRecord]:
    for key, record in known.items():
        name, places = record["name"], record.get("places")
        if places is None:
            address = record.get("address", "")
            yield NameRecord(record["number"], key, name, record["secret"], 0, address)
            continue
        for place, stay in enumerate(places, 1):
            yield NameRecord(stay["number"], key, name, stay["secret"], place)


def scan(connection: RedisConnection, prefix: str) -> Iterator[bytes]:
    """The keys that begin so, perhaps some of them twice."""
    cursor = b"0"
    while True:
        cursor, found = connection.ask("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", CHUNK)
        yield from found
        if cursor == b"0":
            return
