"""What happens in a chat, as the library tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

from capnweb_sync import JSDate

from .errors import BadAnswer

OTHER_NAMES: Final = {"message": "chat"}
"""What other servers call a type of event."""


WITHOUT_TEXT: Final = frozenset({"remove", "react", "typing", "presence", "edit"})
"""Types of events that need not say anything."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """One kind of reaction to a message.

    Attributes:
        count: how many have it.
        users: the first of their names.
    """

    count: int
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the chat's log (`docs/protocol.md`).

    Attributes:
        id: only grows, over all rooms; 0 with servers that number nothing, and for what is told
            beside the log (`typing`, `presence`).
        type: `chat`, `join`, `leave`, `edit`, `remove`, `react`, `topic`, `notice`, `typing`,
            `presence`, or what a server has beyond these.
        user: who said it, joined or left.
        text: what was said, or a sentence like `Bob joined the chat`; "" where there is none.
        time: when, in UTC, to the millisecond.
        users: of joins and leaves: whom it is about, 200 names at most.
        count: of joins and leaves: how many they are.
        room: the name of the room in which it happened; "" with servers that have none.
        prev: the id of the room's event before, 0 for its first; None where the server does not
            say.
        by: an id of whoever `user` is: two of the same name have two.
        target: of `edit`, `remove` and `react`: the message's id.
        reply_to: the id of the message that this one answers, or 0.
        edited: when the message was edited last, if it was.
        removed: whether the message was removed.
        reactions: by emoji, how many and the first of their names.
        online: of `presence`: whether the person is.
    """

    id: int
    type: str
    user: str
    text: str
    time: datetime | JSDate
    users: tuple[str, ...] = ()
    count: int = 0
    room: str = ""
    prev: int | None = None
    by: str = ""
    target: int = 0
    reply_to: int = 0
    edited: datetime | JSDate | None = None
    removed: bool = False
    reactions: Mapping[str, Reaction] = field(default_factory=dict)
    online: bool = True

    @classmethod
    def of(cls, value: Any) -> Event:
        """Read an event as the server sent it. Other servers say `username` for `user`.

        Args:
            value: what came.

        Returns:
            The event. Of one without an id, it is 0; of one without a time, it is now.

        Raises:
            BadAnswer: it has no text, and is not of a kind that can be without.
        """
        if not isinstance(value, Mapping):
            raise BadAnswer("The server has sent an event without a text, since it is no object.")
        user, text = value.get("user", value.get("username")), value.get("text")
        kind, time, users = value.get("type", "chat"), value.get("time"), value.get("users")
        removed = value.get("removed") is True
        if not isinstance(text, str):
            if not removed and kind not in WITHOUT_TEXT:
                raise BadAnswer("The server has sent an event without a text.")
            text = ""
        edited = value.get("edited")
        if not isinstance(time, (datetime, JSDate)):
            time = datetime.now(timezone.utc)
        if not isinstance(users, list):
            users = []
        return cls(
            id=number_of(value.get("id")),
            type=OTHER_NAMES.get(str(kind), str(kind)),
            user=user if isinstance(user, str) else "",
            text=text,
            time=time,
            users=tuple(name for name in users if isinstance(name, str)),
            count=number_of(value.get("count")),
            room=string_of(value.get("room")),
            prev=number_of(value["prev"]) if "prev" in value else None,
            by=string_of(value.get("by")),
            target=number_of(value.get("target")),
            reply_to=number_of(value.get("replyTo")),
            edited=edited if isinstance(edited, (datetime, JSDate)) else None,
            removed=removed,
            reactions=reactions_of(value.get("reactions")),
            online=value.get("online") is not False,
        )


def number_of(value: Any) -> int:
    """`value` if it is a number such as an id, otherwise 0."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_number else 0


def string_of(value: Any) -> str:
    """`value` if it is a string, otherwise ""."""
    return value if isinstance(value, str) else ""


def reactions_of(value: Any) -> dict[str, Reaction]:
    """Reactions as the server has them; those that make no sense are left out."""
    found: dict[str, Reaction] = {}
    for emoji, reaction in value.items() if isinstance(value, Mapping) else ():
        users = reaction.get("users") if isinstance(reaction, Mapping) else None
        if isinstance(users, list):
            names = tuple(name for name in users if isinstance(name, str))
            found[str(emoji)] = Reaction(number_of(reaction.get("count")), names)
    return found


class Receipt(NamedTuple):
    """What the server answers to a message: it is stored.

    Attributes:
        id: the event's; 0 where events have none.
        time: when, in UTC.
    """

    id: int
    time: datetime | JSDate
