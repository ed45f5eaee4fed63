"""The chat for blocking code: no event loop, no `async`.

with ChatClient("ws://127.0.0.1:8080/rpc/ws", "Echo bot") as chat:
    for message in chat.messages():
        if message.text == "ping":
            chat.send("pong")
"""

from .client import ChatClient
from .errors import (
    BadAnswer,
    BadRequest,
    ChatClosed,
    ChatError,
    ConnectionLost,
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
from .events import Event, Receipt
from .reconnect import Status

__all__ = [
    "BadAnswer",
    "BadRequest",
    "ChatClient",
    "ChatClosed",
    "ChatError",
    "ConnectionLost",
    "Event",
    "NotJoined",
    "RateLimited",
    "Receipt",
    "Status",
    "TakenOver",
    "TooLarge",
    "TooMany",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "UsernameTaken",
]
