"""What the database holds, as records and of records; see `chatserver.store.contents`."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

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
from chatserver.store.seats import EVERYWHERE
from chatserver.store.sqlite.rows import COLUMNS, INSERT, events_of, row_of
from chatserver.store.sqlite.schema import MIGRATIONS, migrate, number
from chatserver.store.sqlite.tables import (
    ACCOUNTS,
    INSERT_ACCOUNT,
    INSERT_ERASED,
    INSERT_HOLDING,
    INSERT_SANCTION,
    SANCTIONS,
)
from chatserver.store.state.moderation import EVERYWHERE_NUMBER
from chatserver.store.values import account_identity, identity_of

LOBBY_NUMBER = 1

ROOMS = """
    SELECT number, name, kind, title, topic, owner, maker, everything,
        coalesce((SELECT max(id) FROM event WHERE room = room.number), last_id),
        coalesce((SELECT event.number FROM event WHERE room = room.number
            ORDER BY id DESC LIMIT 1), said)
    FROM room WHERE NOT ended ORDER BY number"""

SEATS = f"""
    SELECT room, by, number, name, read FROM seat
    ORDER BY room, CASE room WHEN {LOBBY_NUMBER} THEN rowid END, number, by"""


class SqliteContents:
    """The contents behind a connection that is in a transaction. Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Raises StartError if the database is of an earlier version."""
        if number(connection, "PRAGMA user_version") < len(MIGRATIONS):
            raise StartError(
                "The database is of an earlier version; start the server on it once, which brings"
                " it up to date."
            )
        self._connection = connection

    def damage(self) -> Iterator[str]:
        for (found,) in self._connection.execute("PRAGMA integrity_check"):
            if found != "ok":
                yield f"The file is damaged: {found}"

    def records(self) -> Iterator[AnyRecord]:
        yield self._head()
        yield from self._each(AccountRecord, f"{ACCOUNTS} ORDER BY key")
        yield from self._each(
            NameRecord,
            "SELECT number, key, name, secret, place, address FROM holding ORDER BY number",
        )
        rooms: dict[int, str] = {}
        for room in self._each(RoomRecord, ROOMS):
            rooms[room.number] = room.name
            yield replace(room, everything=bool(room.everything))
        yield from self._each(SeatRecord, SEATS)
        yield from self._each(
            PassRecord, "SELECT digest, room, until_ms, uses FROM pass ORDER BY digest"
        )
        yield from self._each(BlockRecord, "SELECT by, key FROM block ORDER BY by, key")
        yield from self._each(ErasedRecord, "SELECT by, revoked FROM erased ORDER BY by")
        yield from self._each(SanctionRecord, f"{SANCTIONS} ORDER BY number")
        yield from self._each(
            NoticeRecord, "SELECT room, type, key, name, by FROM notice ORDER BY room, number"
        )
        yield from self._each(ReactedRecord, "SELECT id, room FROM reacted ORDER BY id")
        query = f"SELECT {COLUMNS} FROM event WHERE room NOT NULL ORDER BY id"
        names = rooms | {EVERYWHERE_NUMBER: EVERYWHERE}
        for event in events_of(self._connection.execute(query), rooms=names):
            if event.room:  # else that room has ended
                # When what was removed was edited is not kept by every engine.
                yield EventRecord(replace(event, edited_ms=0) if event.removed else event)
        yield from self._reactions(rooms)
        yield from self._each(
            KeyRecord,
            "SELECT lower(hex(digest)), lower(hex(text_digest)), id, time_ms FROM sent ORDER BY id",
        )

    def _head(self) -> Head:
        query = "SELECT epoch, last_sanction FROM log"
        epoch, last_sanction = self._connection.execute(query).fetchone()
        first_id, last_id = self._connection.execute(
            "SELECT min(id), max(id) FROM event"
        ).fetchone()
        if first_id is None:
            return Head(FORMAT, epoch, 1, 0, 0, last_sanction)
        query = "SELECT time_ms FROM event WHERE id = ?"
        (last_ms,) = self._connection.execute(query, (last_id,)).fetchone()
        return Head(FORMAT, epoch, first_id, last_id, last_ms, last_sanction)

    def _each(self, kind: Any, query: str) -> Iterator[Any]:
        return (kind(*row) for row in self._connection.execute(query))

    def _reactions(self, rooms: dict[int, str]) -> Iterator[ReactionRecord]:
        query = """
            SELECT reaction.id, event.room, emoji, reaction.by, name
            FROM reaction JOIN event ON event.id = reaction.id
            ORDER BY reaction.id, reaction.rowid"""
        rows = (row for row in self._connection.execute(query) if row[1] in rooms)
        for _, found in groupby(rows, lambda row: row[0]):
            by_emoji: dict[str, list[ReactionRecord]] = {}
            for row in found:
                by_emoji.setdefault(row[2], []).append(ReactionRecord(*row))
            for reactions in by_emoji.values():
                yield from reactions


def fill(connection: sqlite3.Connection, records: Iterable[AnyRecord]) -> None:
    """Make a log of an empty database, which holds these. Raises sqlite3.Error."""
    migrate(connection, 0)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM room")
    filling = _Filling(connection)
    for record in records:
        filling.add(record)
    filling.end()
    connection.execute("COMMIT")


class _Filling:
    """Writes record after record."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rooms = {EVERYWHERE: EVERYWHERE_NUMBER}
        self._accounts: dict[str, str] = {}
        """Identities, by keys of names."""
        self._head: Head | None = None

    def add(self, record: AnyRecord) -> None:
        match record:
            case Head():
                self._head = record
                change = "UPDATE log SET epoch = ?, last_sanction = ?"
                self._insert(change, record.epoch, record.last_sanction)
            case AccountRecord(key, name, subject, role, revoked):
                by = self._accounts[key] = account_identity(subject)
                self._insert(INSERT_ACCOUNT, key, name, subject, role, revoked, by)
            case NameRecord(number, key, name, secret, place, address):
                by = self._accounts[key] if place else identity_of(secret)
                # Whoever opens it has everybody wait for as long as it says.
                self._insert(INSERT_HOLDING, key, place, number, name, by, secret, None, 0, address)
            case RoomRecord():
                self._rooms[record.name] = record.number
                row = [getattr(record, field) for field in RoomRecord.__struct_fields__]
                self._insert("INSERT INTO room VALUES (?,?,?,?,?,?,?,?,?,?,0)", *row)
            case SeatRecord(room, by, number, name, read):
                self._insert(
                    "INSERT INTO seat (room, by, number, name, read) VALUES (?,?,?,?,?)",
                    *(room, by, number, name, read),
                )
            case PassRecord(digest, room, until_ms, uses):
                self._insert("INSERT INTO pass VALUES (?,?,?,?)", digest, room, until_ms, uses)
            case BlockRecord(by, key):
                self._insert("INSERT INTO block VALUES (?,?)", by, key)
            case ErasedRecord(by, revoked):
                self._insert(INSERT_ERASED, by, revoked)
            case SanctionRecord():
                row = [getattr(record, field) for field in SanctionRecord.__struct_fields__]
                self._insert(INSERT_SANCTION, *row)
            case NoticeRecord(room, kind, key, name, by):
                self._insert(
                    "INSERT INTO notice (type, key, name, room, by) VALUES (?,?,?,?,?)",
                    *(kind, key, name, room, by),
                )
            case ReactedRecord(message, room):
                self._insert("INSERT INTO reacted VALUES (?,?)", message, room)
            case EventRecord(event):
                self._insert(INSERT, *row_of(event, self._rooms[event.room]))
            case ReactionRecord(message, _, emoji, by, name):
                self._insert("INSERT INTO reaction VALUES (?,?,?,?)", message, emoji, by, name)
            case KeyRecord(digest, text_digest, message, time_ms):
                digests = bytes.fromhex(digest), bytes.fromhex(text_digest)
                self._insert("INSERT INTO sent VALUES (?,?,?,?)", message, *digests, time_ms)

    def end(self) -> None:
        """See to it that the log begins and ends where it did: there may have been entries that
        are no events."""
        head = self._head
        if head is None or not head.last_id:
            return
        query = "SELECT min(id), max(id), time_ms FROM event"
        first_id, last_id, first_ms = self._connection.execute(query).fetchone()
        if first_id != head.first_id and head.first_id <= head.last_id:
            self._mark(head.first_id, first_ms or head.last_ms)
        if head.last_id not in (last_id, head.first_id):
            self._mark(head.last_id, head.last_ms)

    def _mark(self, entry: int, time_ms: int) -> None:
        self._insert(INSERT, *row_of(Event(entry, "seat", "", "", time_ms, room=""), None))

    def _insert(self, statement: str, *row: Any) -> None:
        self._connection.execute(statement, row)
