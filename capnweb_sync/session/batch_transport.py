"""The transport of an HTTP batch: what is sent is collected, a message a line, until it is taken.

The server answers a batch with what it has collected; nothing can be sent after that.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import maxsize


class BatchTransport:
    """Collects messages until they are taken."""

    can_concatenate = False
    carries_streams = False
    can_answer = True
    """Whether the peer will say anything more. What a server receives is the client's last word."""
    peer: str | None = None
    """Who is at the other end, for people."""

    def __init__(
        self, max_bytes: int = maxsize, remote_address: tuple[str, int] | None = None
    ) -> None:
        """More than `max_bytes` are never kept: then it is too large, and nothing is left."""
        self.remote_address = remote_address
        self._messages: list[bytes] | None = []
        self._room = max_bytes
        self.too_large = False
        """Whether more was sent than there was room for."""
        self.on_too_large: Callable[[], None] | None = None
        """Called once, in the middle of a step, to have no more sent."""

    @staticmethod
    def pack(message: bytes) -> bytes:
        """A message is a line."""
        return message

    def send(self, packed: bytes) -> None:
        """Keep a message until they are taken; drop it afterwards."""
        if self._messages is None:
            return
        self._room -= len(packed) + 1
        if self._room >= 0:
            self._messages.append(packed)
            return
        self._messages = None
        self.too_large = True
        if self.on_too_large is not None:
            self.on_too_large()

    def close(self, code: int, reason: str) -> None:
        """Nothing: there is no connection to close."""

    def take(self) -> bytes:
        """The lines that were sent. Later ones are dropped."""
        messages, self._messages = self._messages, None
        return b"\n".join(messages or ())
