"""Reading from the database, beside the writer and without waiting for it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from heapq import merge
from operator import attrgetter
from typing import Any, Final

from msgspec.structs import replace

from chatserver.store.events import Event
from chatserver.store.interface import MAX_READ_EVENTS, cut
from chatserver.store.refusals import not_seated
from chatserver.store.seats import MAX_REACTION_NAMES, Occupant, RoomInfo, Seat
from chatserver.store.sqlite.rows import COLUMNS, events_of, reactions_to
from chatserver.store.sqlite.schema import Connect, leave_open
from chatserver.store.values import Span

MAX_ID: Final = 2**63 - 1
"""The largest whole number that SQLite knows."""

OF_KINDS: Final = {
    "seed": "AND type IN ('chat', 'join', 'leave')",
    "events": "",
    "messages": "AND type = 'chat'",
}

EVENTS: Final = f"""
    SELECT {COLUMNS} FROM event
    WHERE room = ? AND id > ? AND id < ? {{kinds}} ORDER BY id {{order}} LIMIT ?"""

ENTRIES: Final = f"SELECT {COLUMNS} FROM event WHERE id > ? ORDER BY id LIMIT ?"

SEATED: Final = """
    SELECT room.number, room.kind = 'private' AND NOT room.everything, room.owner
    FROM room JOIN seat ON seat.room = room.number
    WHERE room.name = ? AND NOT room.ended AND seat.by = ? AND seat.number = ?"""

INFO: Final = """
    SELECT r.name, r.kind, r.title, r.topic,
        (SELECT count(*) FROM seat WHERE seat.room = r.number),
        coalesce((SELECT max(id) FROM event WHERE room = r.number), r.last_id),
        s.number,
        coalesce(
            (SELECT number FROM event WHERE room = r.number ORDER BY id DESC LIMIT 1), r.said
        ) - s.read,
        CASE WHEN r.kind = 'direct' THEN
            (SELECT name FROM seat WHERE seat.room = r.number AND seat.by <> :by)
        END,
        r.kind = 'private' AND r.owner = :by,
        r.everything
    FROM room AS r LEFT JOIN seat AS s ON s.room = r.number AND s.by = :by"""

INSIDE: Final = """
    SELECT room.number FROM seat JOIN room ON room.number = seat.room
    WHERE seat.by = :by AND NOT room.ended AND room.name > :after"""

PUBLIC: Final = """
    SELECT number FROM (
        SELECT number FROM room
        WHERE kind = 'public' AND NOT ended AND name > :after ORDER BY name LIMIT :limit
    )"""

PEOPLE: Final = """
    SELECT name, by FROM seat WHERE room = ? AND name > ? ORDER BY name LIMIT ?"""


class Reader:
    """Reads from several threads at a time, each with a connection for itself meanwhile. Everything
    blocks the thread, and raises sqlite3.Error."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._idle: list[sqlite3.Connection] = []

    def read_log(self, after: int) -> list[Event]:
        """Entries of all rooms above an id."""
        with self._snapshot() as connection:
            rooms = dict(connection.execute("SELECT number, name FROM room"))
            rows = connection.execute(ENTRIES, (min(after, MAX_ID), MAX_READ_EVENTS))
            with closing(rows):
                return cut(events_of(rows, rooms=rooms), MAX_READ_EVENTS)

    def read(self, span: Span) -> list[Event]:
        """As `Store.read_span`."""
        with self._snapshot() as connection:
            after = span.after
            if span.by is None:
                number: int = self._number(connection, span.room)
            else:
                number, hidden, _ = seated(connection, span.by, Seat(span.room, span.seat))
                if hidden:
                    after = max(after, span.seat)
            before = MAX_ID if span.before is None else min(span.before, MAX_ID)
            order = "DESC" if span.newest else ""
            query = EVENTS.format(kinds=OF_KINDS[span.kinds], order=order)
            bounds = (number, min(after, MAX_ID), before, min(span.limit, MAX_READ_EVENTS))
            # Closed before the end is reached, too: an open one would keep old pages in the WAL.
            with closing(connection.execute(query, bounds)) as rows:
                events = events_of(rows, span.room)
                if span.kinds == "messages":
                    events = (with_reactions(connection, event) for event in events)
                return cut(events, span.limit)

    def read_rooms(self, afters: Mapping[str, int], before: int, limit: int) -> list[Event]:
        """As `Store.read_rooms`."""
        query = EVENTS.format(kinds="", order="")
        with self._snapshot() as connection:
            found: list[list[Event]] = []
            for name, after in afters.items():
                number = self._number(connection, name)
                bounds = (number, after, min(before, MAX_ID), limit)
                with closing(connection.execute(query, bounds)) as rows:
                    found.append(cut(events_of(rows, name), limit))
            return cut(merge(*found, key=attrgetter("id")), limit)

    def people(self, by: str, seat: Seat, after: str | None, limit: int) -> list[Occupant]:
        """As `Store.people`."""
        with self._snapshot() as connection:
            number, _, owner = seated(connection, by, seat)
            rows = connection.execute(PEOPLE, (number, after or "", limit))
            return [
                Occupant(name, True, "owner" if who == owner else "member") for name, who in rows
            ]

    def room(self, by: str, seat: Seat) -> RoomInfo:
        """As `Store.room`."""
        with self._snapshot() as connection:
            number, _, _ = seated(connection, by, seat)
            query = f"{INFO} WHERE r.number = :number"
            (row,) = connection.execute(query, {"by": by, "number": number})
            return info_of(row)

    def rooms(self, by: str, after: str | None, limit: int, inside: bool) -> list[RoomInfo]:
        """As `Store.rooms`."""
        which = INSIDE if inside else f"{INSIDE} UNION {PUBLIC}"
        query = f"{INFO} WHERE r.number IN ({which}) ORDER BY r.name LIMIT :limit"
        with self._snapshot() as connection:
            rows = connection.execute(query, {"by": by, "after": after or "", "limit": limit})
            return [info_of(row) for row in rows]

    def _number(self, connection: sqlite3.Connection, name: str) -> int:
        query = "SELECT number FROM room WHERE name = ? AND NOT ended"
        row = connection.execute(query, (name,)).fetchone()
        return 0 if row is None else int(row[0])

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees the database as it is now, for one thread."""
        connection = self._idle.pop() if self._idle else self._connect()
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("ROLLBACK")  # nothing was written
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def leave_to_parent(self) -> None:
        """In a forked child: neither use nor close the connections."""
        for connection in self._idle:
            leave_open(connection)

    def close(self) -> None:
        """Close all connections; nobody may be reading."""
        while self._idle:
            self._idle.pop().close()


def seated(connection: sqlite3.Connection, by: str, seat: Seat) -> tuple[int, bool, str]:
    """The number of the room in which this identity has this seat, whether what was before it is
    hidden, and whose the room is. Raises NotJoined."""
    row = connection.execute(SEATED, (seat.room, by, min(seat.number, MAX_ID))).fetchone()
    if row is None:
        raise not_seated()
    number, hidden, owner = row
    return number, bool(hidden), owner


def with_reactions(connection: sqlite3.Connection, message: Event) -> Event:
    """The message with its reactions."""
    found = reactions_to(connection, message.id, MAX_REACTION_NAMES)
    return replace(message, reactions=found)


def info_of(row: tuple[Any, ...]) -> RoomInfo:
    """A row of INFO."""
    name, kind, title, topic, people, last_id, number, unread, other, owner, everything = row
    return RoomInfo(
        name, kind, title, topic, people, last_id, number, unread or 0, other, bool(owner),
        bool(everything),
    )  # fmt: skip
