"""The chat for blocking code: no event loop, no `async`.

with ChatClient("ws://127.0.0.1:8080/rpc/ws", "Echo bot") as chat:
    for message in chat.messages():
        if message.text == "ping":
            chat.send("pong")
"""

from .administration import Acquaintance, Admin, Stay
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
    SentAway,
    TakenOver,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
    Unreachable,
    UsernameTaken,
)
from .events import Event, Reaction, Receipt
from .moderation import Moderator, Powers, Sanction
from .person import Person
from .reconnect import Status
from .room import Room

__all__ = [
    "Acquaintance",
    "Admin",
    "BadAnswer",
    "BadRequest",
    "ChatClient",
    "ChatClosed",
    "ChatError",
    "ConnectionLost",
    "Event",
    "Forbidden",
    "Moderator",
    "NoSuchRoom",
    "NotJoined",
    "Occupant",
    "Person",
    "Powers",
    "RateLimited",
    "Reaction",
    "Receipt",
    "Room",
    "RoomInfo",
    "Sanction",
    "SentAway",
    "Status",
    "Stay",
    "TakenOver",
    "TooLarge",
    "TooMany",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "UsernameTaken",
]
