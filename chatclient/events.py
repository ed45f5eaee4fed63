"""What happens in a chat, as the library tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

from capnweb_sync import JSDate

from .errors import BadAnswer

OTHER_NAMES: Final = {"message": "chat"}
"""What other servers call a type of event."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the chat's log (`docs/protocol.md`).

    Attributes:
        id: only grows; 0 with servers that number nothing.
        type: `chat`, `join`, `leave`, or what a server has beyond these.
        user: who said it, joined or left.
        text: what was said, or a sentence like `Bob joined the chat`.
        time: when, in UTC, to the millisecond.
        users: of joins and leaves: whom it is about, 200 names at most.
        count: of joins and leaves: how many they are.
    """

    id: int
    type: str
    user: str
    text: str
    time: datetime | JSDate
    users: tuple[str, ...] = ()
    count: int = 0

    @classmethod
    def of(cls, value: Any) -> Event:
        """Read an event as the server sent it. Other servers say `username` for `user`.

        Args:
            value: what came.

        Returns:
            The event. Of one without an id, it is 0; of one without a time, it is now.

        Raises:
            BadAnswer: it has no text.
        """
        if not isinstance(value, Mapping) or not isinstance(value.get("text"), str):
            raise BadAnswer("The server has sent an event without a text.")
        user = value.get("user", value.get("username"))
        kind, time, users = value.get("type", "chat"), value.get("time"), value.get("users")
        if not isinstance(time, (datetime, JSDate)):
            time = datetime.now(timezone.utc)
        if not isinstance(users, list):
            users = []
        return cls(
            id=number_of(value.get("id")),
            type=OTHER_NAMES.get(str(kind), str(kind)),
            user=user if isinstance(user, str) else "",
            text=value["text"],
            time=time,
            users=tuple(name for name in users if isinstance(name, str)),
            count=number_of(value.get("count")),
        )


def number_of(value: Any) -> int:
    """`value` if it is a number such as an id, otherwise 0."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_number else 0


class Receipt(NamedTuple):
    """What the server answers to a message: it is stored.

    Attributes:
        id: the event's; 0 where events have none.
        time: when, in UTC.
    """

    id: int
    time: datetime | JSDate
