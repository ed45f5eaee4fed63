"""What happens in a chat, as the library tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from capnweb_sync import JSDate


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the chat's log.

    `id` only grows. `user` is who said it, joined or left. `text` is what was said, or a sentence
    like `Bob joined the chat`. `users` and `count` are those of joins and leaves: whom the event is
    about (200 names at most), and how many they are.
    """

    id: int
    type: Literal["chat", "join", "leave"]
    user: str
    text: str
    time: datetime | JSDate
    users: tuple[str, ...] = ()
    count: int = 0

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Event:
        """The event that the server sent."""
        return cls(
            id=int(value["id"]),
            type=value["type"],
            user=value["user"],
            text=value["text"],
            time=value["time"],
            users=tuple(value.get("users", ())),
            count=value.get("count", 0),
        )


class Receipt(NamedTuple):
    """What the server answers to a message: it is stored."""

    id: int
    time: datetime | JSDate
