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


def reactions_to(connection: sqlite3.Connection, message: int, names: int) -> Reactions:
    """The reactions to a message as they stand, with so many names of each."""
    query = "SELECT emoji, name FROM reaction WHERE id = ? ORDER BY rowid"
    found: dict[str, list[str]] = {}
    for emoji, name in connection.execute(query, (message,)):
        found.setdefault(emoji, []).append(name)
    return {emoji: (len(all_), tuple(all_[:names])) for emoji, all_ in found.items()}
