"""A line as simple-websocket uses a socket: `recv`, `send`, `close`.

It sends whole frames, control frames and text never together. So what is to be sent can be told by
its first byte, and goes where the line has a place for it.
"""

from __future__ import annotations

from typing import Final

from ..line import Ended, Line

PING: Final = b"\x89\x00"
"""A ping without a payload, as servers send it (RFC 6455, section 5.5.2)."""

ANSWER: Final = b"HTTP/"
"""What the answer to the handshake begins with, and no frame of a server's."""

_CLOSE: Final = 0x8
_OPCODE: Final = 0x0F
_FINAL_CONTROL: Final = 0x88
"""Bits that whole control frames have; the answer to the handshake, which begins with an H, has
only one of them."""
_HEADER: Final = 2
"""Bytes before the payload of a control frame that is not masked."""


class LineSocket:
    """See the top of this file."""

    def __init__(self, line: Line, headers: bytes = b"") -> None:
        """`headers` are further lines of the answer to the handshake."""
        self._line = line
        self._headers = headers
        self.overflowed = False
        """Whether a message was dropped because too much waits."""
        self.closing: bytes | None = None
        """The payload of the close frame that was sent."""

    def send(self, data: bytes) -> int:
        """Send frames; in any thread, and never blocking."""
        if data.startswith(ANSWER):
            end = len(data) - len(b"\r\n")
            self._line.send(data[:end] + self._headers + data[end:])
            return len(data)
        if not is_control(data, 0):
            self.overflowed = not self._line.send(data) or self.overflowed
            return len(data)
        payload = close_payload(data)
        if payload is None:
            self._line.send_control(data)
        elif self._line.send_close(data):
            self.closing = payload
        return len(data)

    def recv(self, size: int) -> bytes:
        """The next bytes, `size` at most. Raises OSError at the end."""
        try:
            return self._line.receive(size)
        except Ended as end:
            raise OSError(end.reason) from None

    def close(self) -> None:
        """Nothing: the socket is the server's, and the connection ends it."""


def is_control(data: bytes, at: int) -> bool:
    """Whether a control frame begins there."""
    return at + _HEADER <= len(data) and data[at] & _FINAL_CONTROL == _FINAL_CONTROL


def close_payload(data: bytes) -> bytes | None:
    """The payload of a close frame, which may come behind pongs."""
    at = 0
    while is_control(data, at):
        end = at + _HEADER + data[at + 1]
        if data[at] & _OPCODE == _CLOSE:
            return data[at + _HEADER : end]
        at = end
    return None
