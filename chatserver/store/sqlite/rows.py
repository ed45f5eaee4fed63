"""Events as rows of the database, and back."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

from chatserver.store.events import Event, Reactions
from chatserver.store.seats import SeatChange

COLUMNS: Final = (
    "id, type, user, text, time_ms, users, count, number, room, prev, by, target, reply_to,"
    " edited_ms, removed, more"
)
"""What a row has, in the order in which `row_of` gives it."""

INSERT: Final = f"INSERT INTO event ({COLUMNS}) VALUES ({','.join('?' * 16)})"


KINDS: Final = """
    WITH RECURSIVE kind (emoji) AS (
        SELECT min(emoji) FROM reaction WHERE id = :id
        UNION ALL
        SELECT (SELECT min(emoji) FROM reaction WHERE id = :id AND emoji > kind.emoji)
        FROM kind WHERE emoji NOT NULL
    )
    SELECT emoji FROM kind WHERE emoji NOT NULL"""
"""From one to the next in the index, without those who have reacted."""

NUMBER_OF_KIND: Final = "SELECT count(*) FROM reaction WHERE id = ? AND emoji = ?"

FIRST_OF_KIND: Final = """
    SELECT rowid, name FROM reaction WHERE rowid IN (
        SELECT rowid FROM reaction WHERE id = ? AND emoji = ? ORDER BY rowid LIMIT ?
    ) ORDER BY rowid"""


def row_of(event: Event, room: int | None) -> tuple[Any, ...]:
    """The row of an event of the room with this number."""
    more: dict[str, Any] = {}
    if event.seats:
        more["seats"] = event.seats
    if event.reactions is not None:
        more["reactions"] = event.reactions
    return (
        event.id,
        event.type,
        event.user,
        event.text,
        event.time_ms,
        json.dumps(event.users, ensure_ascii=False) if event.users else None,
        event.count,
        event.number,
        room,
        event.prev,
        event.by,
        event.target,
        event.reply_to,
        event.edited_ms,
        event.removed,
        json.dumps(more, ensure_ascii=False) if more else None,
    )


def events_of(
    rows: Iterable[tuple[Any, ...]], room: str | None = None, rooms: dict[int, str] | None = None
) -> Iterator[Event]:
    """The events that rows of COLUMNS stand for: of the room called so, or of those that `rooms`
    has the names of."""
    for row in rows:
        number, kind, user, text, time_ms, users, count, said, place, prev, by, target = row[:12]
        reply_to, edited_ms, removed, more = row[12:]
        extra = json.loads(more) if more else {}
        name = room if room is not None else (rooms or {}).get(place, "")
        yield Event(
            number,
            kind,
            user,
            text,
            time_ms,
            tuple(json.loads(users)) if users else (),
            count,
            name,
            number - 1 if prev is None else prev,
            by,
            target,
            reply_to,
            said,
            tuple(SeatChange(*change) for change in extra.get("seats", ())),
            edited_ms,
            bool(removed),
            reactions_of(extra["reactions"]) if "reactions" in extra else None,
        )


def reactions_of(stored: dict[str, list[Any]]) -> Reactions:
    """Reactions as JSON has them."""
    return {emoji: (count, tuple(names)) for emoji, (count, names) in stored.items()}


def kinds_of(connection: sqlite3.Connection, message: int) -> list[str]:
    """The kinds of reactions to a message."""
    return [emoji for (emoji,) in connection.execute(KINDS, {"id": message})]


def reactions_to(connection: sqlite3.Connection, message: int, names: int) -> Reactions:
    """The reactions to a message as they stand, with so many names of each."""
    found = []
    for emoji in kinds_of(connection, message):
        (number,) = connection.execute(NUMBER_OF_KIND, (message, emoji)).fetchone()
        first = connection.execute(FIRST_OF_KIND, (message, emoji, names)).fetchall()
        found.append((first[0][0], emoji, number, tuple(name for _, name in first)))
    return {emoji: (number, shown) for _, emoji, number, shown in sorted(found)}
