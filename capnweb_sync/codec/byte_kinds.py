"""Bytes, and arrays of numbers as bytes."""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from typing import Any, Final

from ..errors import RpcTypeError
from ..values.fetch import ARRAY_KINDS, BYTE_KINDS, ByteContainer, kind_of_array
from .encoder import Encoder
from .evaluator import Evaluator, unknown
from .registry import encodes, evaluates

STANDARD_ALPHABET: Final = str.maketrans("-_", "+/", " \t\n\f\r")
"""The reference reads the alphabet of URLs, too (RFC 4648, section 5), and skips white space."""


@encodes(bytes, bytearray, memoryview, array)
def encode_bytes(encoder: Encoder, value: Any, depth: int) -> Any:
    """`["bytes", base64, kind?]`."""
    kind = None
    if isinstance(value, array):
        kind = kind_of_array(value)
        if sys.byteorder == "big" and value.itemsize > 1:
            value = array(value.typecode, value)
            value.byteswap()
        value = value.tobytes()
    elif isinstance(value, ByteContainer):
        kind = value.kind
    text = b64encode(value).rstrip(b"=").decode()
    return ["bytes", text] if kind is None else ["bytes", text, kind]


@evaluates("bytes")
def evaluate_bytes(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["bytes", base64, kind?]`."""
    if len(value) < 2 or not isinstance(value[1], str):
        raise unknown(value)
    data = bytes_of(value[1])
    if len(value) == 2:
        return data
    kind = value[2]
    if kind == "Uint8Array":
        return data
    if isinstance(kind, str) and kind in BYTE_KINDS:
        return ByteContainer(data, kind)
    if not isinstance(kind, str) or kind not in ARRAY_KINDS:
        raise RpcTypeError(f"Unknown bytes type marker: {str(kind)[:64]}")
    items: array[Any] = array(ARRAY_KINDS[kind])
    if len(data) % items.itemsize:
        raise RpcTypeError(
            f"Invalid byte length {len(data)} for {kind}; expected a multiple of {items.itemsize}"
        )
    items.frombytes(data)
    if sys.byteorder == "big":
        items.byteswap()
    return items


def bytes_of(text: str) -> bytes:
    """The bytes that `text` stands for in base64; the padding is there, or it is not. Raises
    RpcTypeError for anything else, as browsers do."""
    text = text.translate(STANDARD_ALPHABET)
    digits = text.rstrip("=")
    missing = -len(digits) % 4
    if missing != 3 and len(text) - len(digits) in (0, missing):
        try:
            return b64decode(digits + "=" * missing, validate=True)
        except ValueError:
            pass
    raise RpcTypeError("The bytes are not in base64.")
