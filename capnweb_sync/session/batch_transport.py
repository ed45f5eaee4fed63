"""The transport of an HTTP batch: what is sent is collected, a message a line, until it is taken.

The server answers a batch with what it has collected; nothing can be sent after that.
"""

from __future__ import annotations


class BatchTransport:
    """Collects messages until they are taken."""

    can_concatenate = False
    carries_streams = False

    def __init__(self, remote_address: tuple[str, int] | None = None) -> None:
        self.remote_address = remote_address
        self._messages: list[bytes] | None = []

    @staticmethod
    def pack(message: bytes) -> bytes:
        """A message is a line."""
        return message

    def send(self, packed: bytes) -> None:
        """Keep a message until they are taken; drop it afterwards."""
        if self._messages is not None:
            self._messages.append(packed)

    def close(self, code: int, reason: str) -> None:
        """Nothing: there is no connection to close."""

    def take(self) -> bytes:
        """The lines that were sent. Later ones are dropped."""
        messages, self._messages = self._messages, None
        return b"\n".join(messages or ())
