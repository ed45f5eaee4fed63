"""What the log consists of: events, and how they are told.

An event never changes once it has its id. `Event.value` is what travels to members.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import force_setattr

from chatserver.store.seats import LOBBY, SeatChange

EventType = Literal["chat", "join", "leave", "edit", "remove", "react", "topic", "notice", "seat"]
NoticeType = Literal["join", "leave"]

Reactions = dict[str, tuple[int, tuple[str, ...]]]
"""By emoji: how many, and the first of their names in the order in which they came."""

SEED_TYPES: Final[tuple[EventType, ...]] = ("chat", "join", "leave")
"""What a callback of `join` hears, and `getHistory` gives."""

MAX_USERS: Final = 200
"""Names that one event, or the answer to a join, lists at most: a crowd must not make either
expensive. `count` has the whole number."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
"""Of time, in seconds."""

VERBS: Final[dict[NoticeType, str]] = {"join": "joined", "leave": "left"}

EVENT_BYTES: Final = 120
"""Bytes that an event takes on the wire beside its text and names, about."""

MAX_UTF8_BYTES: Final = 4
"""Bytes that one code point takes in UTF-8 at most."""

MAX_ESCAPED_BYTES: Final = 6
"""Bytes that one character takes at most where JSON writes it as an escape, `\\u0000`."""


class Event(Struct, frozen=True, gc=False):
    """One entry of the log.

    `id` grows by one from entry to entry, over all rooms; `prev` is the id of the room's event
    before, 0 for its first. `time_ms` is milliseconds since 1970 in UTC. `user` is who said it, or
    the first of those who joined or left, and `by` an id of that identity (`""` for several);
    `users` and `count` are empty and 0 but for joins and leaves. `size` is its bytes on the wire,
    hardly ever more than this says; whoever bounds what is read or told counts with it.

    An entry of the type `seat` is told to nobody: `seats` says what it changes. Any other may end
    or begin seats, too, after it was told: who is sent out hears that.

    The last ones are those of a message as it stands: `edited_ms`, `removed` (its text is "") and
    `reactions`, which history shows. `reactions` of a `react` is what it tells. `number` counts the
    room's messages up to and including this entry.
    """

    id: int
    type: EventType
    user: str
    text: str
    time_ms: int
    users: tuple[str, ...] = ()
    count: int = 0
    room: str = LOBBY
    prev: int = 0
    by: str = ""
    target: int = 0
    reply_to: int = 0
    number: int = 0
    seats: tuple[SeatChange, ...] = ()
    edited_ms: int = 0
    removed: bool = False
    reactions: Reactions | None = None
    size: int = 0

    def __post_init__(self) -> None:
        # Once an event: reading, telling and remembering it all ask.
        force_setattr(self, "size", self._size())

    def value(self) -> dict[str, Any]:
        """The event as a callback of `join` gets it, and `getHistory` gives it."""
        value: dict[str, Any] = {
            "id": self.id,
            "type": self.type,
            "user": self.user,
            "text": self.text,
            "time": date(self.time_ms),
            "room": self.room,
            "by": self.by,
        }
        if self.type in ("join", "leave"):
            value["users"] = self.users
            value["count"] = self.count
        return value

    def full_value(self) -> dict[str, Any]:
        """The event as those get it who have logged in; a message as it stands."""
        value = self.value()
        value["prev"] = self.prev
        if self.target:
            value["target"] = self.target
        if self.reply_to:
            value["replyTo"] = self.reply_to
        if self.reactions is not None:
            value["reactions"] = {
                emoji: {"count": count, "users": names}
                for emoji, (count, names) in self.reactions.items()
            }
        if self.edited_ms:
            value["edited"] = date(self.edited_ms)
        if self.removed:
            value["removed"] = True
            del value["text"]
        return value

    def _size(self) -> int:
        if not self.text.isprintable():
            letter = MAX_ESCAPED_BYTES
        elif self.text.isascii():
            letter = 1
        else:
            letter = MAX_UTF8_BYTES
        names = sum(map(len, self.users))
        if self.reactions:
            names += sum(len(name) for _, found in self.reactions.values() for name in found)
        return EVENT_BYTES + len(self.text) * letter + names * MAX_UTF8_BYTES


def notice_text(kind: NoticeType, names: Sequence[str], count: int, place: str) -> str:
    """What tells that `count` joined, or left, the first of them being `names`. `place` is the
    title of the room, `the chat` for the lobby."""
    return f"{listed(names, count)} {VERBS[kind]} {place}"


def listed(names: Sequence[str], count: int) -> str:
    """`Bob`, `Bob and Carol`, `Bob, Carol and Dave`, `Bob, Carol and 3 others`."""
    if count == len(names) <= 3:
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    shown = names[:2]
    others = count - len(shown)
    return f"{', '.join(shown)} and {others} {'other' if others == 1 else 'others'}"


def lasting(seconds: float | None, reason: str) -> str:
    """What is told of a sanction behind the name: " for 10 minutes: REASON"."""
    return (" for good" if seconds is None else f" for {shown_time(seconds)}") + because(reason)


def because(reason: str) -> str:
    """ ": REASON", or nothing."""
    return f": {reason}" if reason else ""


def shown_time(seconds: float) -> str:
    """`1 hour`, `90 seconds`: in the largest unit of which it is a whole number."""
    whole = round(seconds)
    unit, name = next((unit, name) for unit, name in UNITS if whole % unit == 0)
    return f"{whole // unit} {name}" + ("" if whole == unit else "s")


def about(seconds: float) -> str:
    """Likewise, rounded up to a unit of which there is more than one; for what is left of a
    time."""
    unit = next((unit for unit, _ in UNITS if seconds > unit), 1)
    return shown_time(math.ceil(seconds / unit) * unit)


def date(time_ms: int) -> datetime:
    """Milliseconds since 1970 as a date in UTC, exact."""
    return EPOCH + timedelta(milliseconds=time_ms)
