"""What the log consists of: events, and how they are told.

An event never changes once it has its id. `Event.value` is what travels to members.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import force_setattr

EventType = Literal["chat", "join", "leave"]
NoticeType = Literal["join", "leave"]

MAX_USERS: Final = 200
"""Names that one event, or the answer to a join, lists at most: a crowd must not make either
expensive. `count` has the whole number."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

VERBS: Final[dict[NoticeType, str]] = {"join": "joined", "leave": "left"}

EVENT_BYTES: Final = 120
"""Bytes that an event takes on the wire beside its text and names, about."""

MAX_UTF8_BYTES: Final = 4
"""Bytes that one code point takes in UTF-8 at most."""

MAX_ESCAPED_BYTES: Final = 6
"""Bytes that one character takes at most where JSON writes it as an escape, `\\u0000`."""


class Event(Struct, frozen=True, gc=False):
    """One entry of the log.

    `id` grows by one from entry to entry. `time_ms` is milliseconds since 1970 in UTC. `user` is
    who said it, or the first of those who joined or left; `users` and `count` are empty and 0 for
    a chat message. `size` is its bytes on the wire, hardly ever more than this says; whoever
    bounds what is read or told counts with it.
    """

    id: int
    type: EventType
    user: str
    text: str
    time_ms: int
    users: tuple[str, ...] = ()
    count: int = 0
    size: int = 0

    def __post_init__(self) -> None:
        # Once an event: reading, telling and remembering it all ask.
        force_setattr(self, "size", self._size())

    def value(self) -> dict[str, Any]:
        """The event as members get it."""
        value: dict[str, Any] = {
            "id": self.id,
            "type": self.type,
            "user": self.user,
            "text": self.text,
            "time": date(self.time_ms),
        }
        if self.type != "chat":
            value["users"] = self.users
            value["count"] = self.count
        return value

    def _size(self) -> int:
        if not self.text.isprintable():
            letter = MAX_ESCAPED_BYTES
        elif self.text.isascii():
            letter = 1
        else:
            letter = MAX_UTF8_BYTES
        names = sum(map(len, self.users))
        return EVENT_BYTES + len(self.text) * letter + names * MAX_UTF8_BYTES


def notice(
    event_id: int, kind: NoticeType, names: Sequence[str], count: int, time_ms: int
) -> Event:
    """The one event which tells that `count` joined, or left, the first of them being `names`."""
    return Event(
        event_id,
        kind,
        names[0],
        f"{listed(names, count)} {VERBS[kind]} the chat",
        time_ms,
        tuple(names[:MAX_USERS]),
        count,
    )


def listed(names: Sequence[str], count: int) -> str:
    """`Bob`, `Bob and Carol`, `Bob, Carol and Dave`, `Bob, Carol and 3 others`."""
    if count == len(names) <= 3:
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    shown = names[:2]
    others = count - len(shown)
    return f"{', '.join(shown)} and {others} {'other' if others == 1 else 'others'}"


def date(time_ms: int) -> datetime:
    """Milliseconds since 1970 as a date in UTC, exact."""
    return EPOCH + timedelta(milliseconds=time_ms)
