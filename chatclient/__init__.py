"""The chat for blocking code: no event loop, no `async`.

with ChatClient("ws://127.0.0.1:8080/rpc/ws", "Echo bot") as chat:
    for message in chat.messages():
        if message.text == "ping":
            chat.send("pong")
"""

from .answers import Occupant, RoomInfo
from .client import ChatClient
from .errors import (
    BadAnswer,
    BadRequest,
    ChatClosed,
    ChatError,
    ConnectionLost,
    Forbidden,
    NoSuchRoom,
    NotJoined,
    RateLimited,
    TakenOver,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
    Unreachable,
    UsernameTaken,
)
from .events import Event, Reaction, Receipt
from .person import Person
from .reconnect import Status
from .room import Room

__all__ = [
    "BadAnswer",
    "BadRequest",
    "ChatClient",
    "ChatClosed",
    "ChatError",
    "ConnectionLost",
    "Event",
    "Forbidden",
    "NoSuchRoom",
    "NotJoined",
    "Occupant",
    "Person",
    "RateLimited",
    "Reaction",
    "Receipt",
    "Room",
    "RoomInfo",
    "Status",
    "TakenOver",
    "TooLarge",
    "TooMany",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "UsernameTaken",
]
