"""Events, as the entries of the log's tail and of a room's log."""

from typing import Any, cast

from chatserver.store.events import Event, EventType, Reactions, notice_text
from chatserver.store.redis.operations import decode
from chatserver.store.seats import SeatChange


def tail_event(entry: list[Any]) -> Event:
    """An entry of the tail as Redis tells it: its id, `7-0`, and fields with their values: the type
    with the body, the room, and its text if that is beside the body."""
    identifier, (kind, body, _, room, *text) = entry
    number = int(identifier.partition(b"-")[0])
    return event_of(
        number,
        cast("EventType", kind.decode()),
        body,
        room.decode(),
        text[1].decode() if text else "",
    )


def room_event(room: str, row: list[Any]) -> Event:
    """An event of a room as it stands, as `read.lua` tells it."""
    number, kind, body, text, edited_ms, reactions = row
    removed = text is None and kind in (b"chat", b"edit")
    shown = "" if text is None else text.decode()
    found = None if reactions is None else reactions_of(reactions)
    return event_of(
        number, cast("EventType", kind.decode()), body, room, shown, edited_ms or 0, removed, found
    )


def event_of(
    number: int,
    kind: EventType,
    body: bytes,
    room: str,
    text: str,
    edited_ms: int = 0,
    removed: bool = False,
    reactions: Reactions | None = None,
) -> Event:
    """An event of its body: what all have, and what this type has."""
    prev, time_ms, user, by, said, *more = decode(body)
    users: tuple[str, ...] = ()
    target = count = reply_to = 0
    seats: tuple[SeatChange, ...] = ()
    match kind:
        case "chat":
            (reply_to,) = more
        case "join" | "leave":
            names, count, title = more
            users, user = tuple(names), names[0]
            text = notice_text(kind, names, count, title)
        case "edit":
            (target,) = more
        case "remove":
            # A version without accounts gave no reasons.
            target, text = more if len(more) > 1 else (more[0], "")
        case "react":
            target, found = more
            reactions = reactions_of(found)
        case "topic" | "notice":
            text, changes = more
            seats = _changes(changes)
        case "seat":
            (changes,) = more
            seats = _changes(changes)
        case _:
            raise ValueError(f"the log's entry {number} is not of this version")
    return Event(
        number,
        kind,
        user,
        text,
        time_ms,
        users,
        count,
        room,
        prev,
        by,
        target,
        reply_to,
        said,
        seats,
        edited_ms,
        removed,
        reactions,
    )


def reactions_of(found: list[Any]) -> Reactions:
    """Reactions as both scripts tell them: kind, how many, the first names."""
    return {_text(kind): (count, tuple(map(_text, names))) for kind, count, names in found}


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


def _changes(changes: list[Any]) -> tuple[SeatChange, ...]:
    return tuple(SeatChange(*change) for change in changes)
