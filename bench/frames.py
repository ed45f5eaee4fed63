"""The client's half of a WebSocket, as little of it as a load generator needs.

Requests and frames are built as bytes, what was received is cut into frames; there is no socket
here. Deliberately no code of the project's own: both ends would share a mistake in it.
"""

from __future__ import annotations

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA  # RFC 6455 section 5.2

_FIN = 0x80
_MASKED = 0x80
_SHORT_LENGTH = 126  # from here on two bytes of length follow, RFC 6455 section 5.2
_LONG_LENGTH = 127  # eight bytes of length follow
_MASK = bytes.fromhex("37fa213d")  # RFC 6455's own example; not zero, which some servers would skip


def upgrade_request(path: str, port: int) -> bytes:
    """The HTTP request that opens a WebSocket; it offers no extension, so nothing is compressed."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """One masked frame as a client must send it; `payload` is shorter than 64 KiB."""
    length = len(payload)
    if length < _SHORT_LENGTH:
        header = bytes([_FIN | opcode, _MASKED | length])
    else:
        header = bytes([_FIN | opcode, _MASKED | _SHORT_LENGTH]) + length.to_bytes(2, "big")
    mask = (_MASK * (length // 4 + 1))[:length]
    hidden = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return header + _MASK + hidden.to_bytes(length, "big")


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Cut received bytes into frames.

    Returns the whole frames as (opcode, payload), and the beginning of the frame that is still to
    come. Raises ValueError for a fragment or an extension bit, which no peer here sends.
    """
    frames: list[tuple[int, bytes]] = []
    start, end = 0, len(data)
    while end - start >= 2:
        length, body = data[start + 1], start + 2
        if length == _SHORT_LENGTH:
            body += 2
            length = int.from_bytes(data[start + 2 : body], "big")
        elif length == _LONG_LENGTH:
            body += 8
            length = int.from_bytes(data[start + 2 : body], "big")
        if body + length > end:
            break
        first = data[start]
        if not first & _FIN or first & 0x70:
            raise ValueError(f"a frame that begins with {first:#04x}")
        frames.append((first & 0x0F, data[body : body + length]))
        start = body + length
    return frames, data[start:]
