"""One direction of a WebSocket connection, cut into pieces that can be dropped one by one.

As little of RFC 6455 as a proxy needs, and deliberately none of the project's own code: both ends
would share a mistake in it.
"""

from collections.abc import Iterator
from typing import NamedTuple

TEXT = 0x1
"""Opcode of a text frame (RFC 6455, section 5.2)."""

_FINAL = 0x80
_MASKED = 0x80
_SHORT_LENGTH = 126  # From here on two bytes of length follow (section 5.2).
_LONG_LENGTH = 127  # Eight bytes of length follow.
_MASK_BYTES = 4
_END_OF_HEAD = b"\r\n\r\n"


class Piece(NamedTuple):
    """Bytes as they came; `text` is the message that they are, if they are a whole text message."""

    data: bytes
    text: str | None = None


class FrameCutter:
    """Cuts a stream at the borders of its frames, and lets it pass uncut if it is no WebSocket.

    A message in several fragments passes piece by piece, without `text`: nobody here sends one.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._head_passed = False
        self._upgraded = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """What can be passed on with `data`; a frame is kept back until it is complete."""
        data = self._rest + data
        self._rest = b""
        if not self._head_passed:
            head, end, data = data.partition(_END_OF_HEAD)
            if not end:
                self._rest = head
                return
            self._head_passed = True
            self._upgraded = b"upgrade: websocket" in head.lower()
            yield Piece(head + end)
        if not self._upgraded:
            if data:
                yield Piece(data)
            return
        start = 0
        while (size := _frame_size(data, start)) is not None and start + size <= len(data):
            frame = data[start : start + size]
            yield Piece(frame, _text_of(frame))
            start += size
        self._rest = data[start:]


def _frame_size(data: bytes, start: int) -> int | None:
    """How many bytes the frame at `start` has in all; None if that cannot be seen yet."""
    if len(data) < start + 2:
        return None
    length = data[start + 1] & ~_MASKED
    size = 2 + (_MASK_BYTES if data[start + 1] & _MASKED else 0)
    extended = {_SHORT_LENGTH: 2, _LONG_LENGTH: 8}.get(length)
    if extended is None:
        return size + length
    if len(data) < start + 2 + extended:
        return None
    return size + extended + int.from_bytes(data[start + 2 : start + 2 + extended], "big")


def _text_of(frame: bytes) -> str | None:
    if frame[0] != _FINAL | TEXT:
        return None
    body = 2 + {_SHORT_LENGTH: 2, _LONG_LENGTH: 8}.get(frame[1] & ~_MASKED, 0)
    if not frame[1] & _MASKED:
        return frame[body:].decode()
    mask, hidden = frame[body : body + _MASK_BYTES], frame[body + _MASK_BYTES :]
    repeated = (mask * (len(hidden) // _MASK_BYTES + 1))[: len(hidden)]
    plain = int.from_bytes(hidden, "big") ^ int.from_bytes(repeated, "big")
    return plain.to_bytes(len(hidden), "big").decode()
