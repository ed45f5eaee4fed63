"""Frames as a client sends them, right and wrong, for the tests."""

MASK = b"\x37\xfa\x21\x3d"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def header(first: int, length: int, *, masked: bool = True, width: int = 0) -> bytes:
    """A frame's header without the masking key; `width` forces a longer field for the length."""
    mask_bit = 0x80 if masked else 0
    if length < 126 and not width:
        return bytes((first, mask_bit | length))
    if length < 1 << 16 and width != 8:
        return bytes((first, mask_bit | 126)) + length.to_bytes(2, "big")
    return bytes((first, mask_bit | 127)) + length.to_bytes(8, "big")


def client_frame(
    payload: bytes, opcode: int = TEXT, *, final: bool = True, width: int = 0
) -> bytes:
    """A masked frame."""
    first = (0x80 if final else 0) | opcode
    masked = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))
    return header(first, len(payload), width=width) + MASK + masked


def client_close(code: int | None, reason: bytes = b"") -> bytes:
    """A close frame; without a code if it is None."""
    payload = b"" if code is None else code.to_bytes(2, "big") + reason
    return client_frame(payload, CLOSE)
