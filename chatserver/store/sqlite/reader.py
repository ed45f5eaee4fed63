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
from chatserver.store.local import with_all_of_the_last
from chatserver.store.people_interface import PersonInfo, PlaceInfo
from chatserver.store.refusals import not_seated
from chatserver.store.seats import (
    EVERYWHERE,
    MAX_REACTION_NAMES,
    Occupant,
    RoomInfo,
    RoomKind,
    Seat,
)
from chatserver.store.sqlite.rows import COLUMNS, events_of, reactions_to
from chatserver.store.sqlite.schema import Connect, leave_open
from chatserver.store.state.moderation import EVERYWHERE_NUMBER, role_in
from chatserver.store.values import Span

MAX_ID: Final = 2**63 - 1
"""The largest whole number that SQLite knows."""

NO_ROOM: Final = -1
"""The number of none."""

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
    SELECT room.number, room.kind, room.everything, room.owner
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
    SELECT name, by,
        EXISTS (SELECT 1 FROM holding WHERE holding.by = seat.by),
        coalesce((SELECT role FROM account WHERE account.by = seat.by), 'member')
    FROM seat WHERE room = ? AND name > ? ORDER BY name LIMIT ?"""

BLOCKED: Final = """
    SELECT coalesce(
        (SELECT name FROM account WHERE account.key = block.key),
        (SELECT name FROM holding WHERE holding.key = block.key),
        key
    ) FROM block WHERE by = ? AND key > ? ORDER BY key LIMIT ?"""

EVERYONE: Final = """
    SELECT name, role,
        EXISTS (SELECT 1 FROM holding WHERE holding.by = account.by),
        (SELECT count(*) FROM seat WHERE seat.by = account.by)
    FROM account WHERE name > :after
    UNION ALL
    SELECT name, NULL, 1, (SELECT count(*) FROM seat WHERE seat.by = holding.by)
    FROM holding WHERE place = 0 AND name > :after
    ORDER BY name LIMIT :limit"""

PLACES: Final = """
    SELECT name, place > 0, holder FROM holding WHERE name > ? ORDER BY name, holder"""

ALL_ROOMS: Final = """
    SELECT number FROM room
    WHERE kind <> 'direct' AND NOT ended AND name > :after ORDER BY name LIMIT :limit"""

STATISTICS: Final = """
    SELECT
        (SELECT count(*) FROM account) AS accounts,
        (SELECT count(DISTINCT by) FROM holding) AS online,
        (SELECT count(*) FROM holding) AS places,
        (SELECT count(*) FROM room WHERE NOT ended) AS rooms,
        (SELECT sum(coalesce(
            (SELECT number FROM event WHERE room = room.number ORDER BY id DESC LIMIT 1), said
        )) FROM room WHERE NOT ended) AS messages,
        (SELECT max(id) FROM event) AS last_id,
        (SELECT min(id) FROM event) AS first_id,
        (SELECT count(*) FROM sanction) AS sanctions"""


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
            rooms[EVERYWHERE_NUMBER] = EVERYWHERE
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
                seat = Seat(span.room, span.seat)
                number, kind, everything, _ = seated(connection, span.by, seat)
                if kind == "private" and not everything:
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
            number, kind, _, owner = seated(connection, by, seat)
            rows = connection.execute(PEOPLE, (number, after or "", limit))
            return [
                Occupant(name, bool(online), role_in(kind, who == owner, role))
                for name, who, online, role in rows
            ]

    def room(self, by: str, seat: Seat) -> RoomInfo:
        """As `Store.room`."""
        with self._snapshot() as connection:
            number = seated(connection, by, seat)[0]
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

    def blocked(self, by: str, after: str | None, limit: int) -> list[str]:
        """As `Store.blocked`."""
        with self._snapshot() as connection:
            rows = connection.execute(BLOCKED, (by, after or "", limit))
            return [name for (name,) in rows]

    def everyone(self, after: str | None, limit: int) -> list[PersonInfo]:
        """As `Store.everyone`."""
        with self._snapshot() as connection:
            rows = connection.execute(EVERYONE, {"after": after or "", "limit": limit})
            return [
                PersonInfo(name, role, bool(online), rooms) for name, role, online, rooms in rows
            ]

    def places(self, after: str | None, limit: int) -> list[PlaceInfo]:
        """As `Store.places`."""
        with (
            self._snapshot() as connection,
            closing(connection.execute(PLACES, (after or "",))) as rows,
        ):
            found = (PlaceInfo(name, bool(account), holder) for name, account, holder in rows)
            return with_all_of_the_last(found, limit)

    def all_rooms(self, after: str | None, limit: int) -> list[RoomInfo]:
        """As `Store.all_rooms`."""
        query = f"{INFO} WHERE r.number IN ({ALL_ROOMS}) ORDER BY r.name"
        with self._snapshot() as connection:
            rows = connection.execute(query, {"by": "", "after": after or "", "limit": limit})
            return [info_of(row) for row in rows]

    def statistics(self) -> dict[str, int]:
        """As `Store.statistics`."""
        with self._snapshot() as connection:
            rows = connection.execute(STATISTICS)
            found = dict(zip((column[0] for column in rows.description), *rows, strict=True))
            last_id, first_id = found.pop("last_id"), found.pop("first_id")
            return {**found, "events": 0 if last_id is None else last_id + 1 - first_id}

    def _number(self, connection: sqlite3.Connection, name: str) -> int:
        if name == EVERYWHERE:
            return EVERYWHERE_NUMBER
        query = "SELECT number FROM room WHERE name = ? AND NOT ended"
        row = connection.execute(query, (name,)).fetchone()
        return NO_ROOM if row is None else int(row[0])

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


def seated(connection: sqlite3.Connection, by: str, seat: Seat) -> tuple[int, RoomKind, int, str]:
    """Of the room in which this identity has this seat the number, the kind, whether who enters may
    read everything, and whose it is. Raises NotJoined."""
    row = connection.execute(SEATED, (seat.room, by, min(seat.number, MAX_ID))).fetchone()
    if row is None:
        raise not_seated()
    found: tuple[int, RoomKind, int, str] = row
    return found


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
