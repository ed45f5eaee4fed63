"""Text to JSON values and back.

msgspec does it, several times as fast as the standard library. It refuses what JavaScript's own
JSON accepts: lone surrogates (`"😀".slice(0, 1)`) and whole numbers beyond a double's range. Such a
message is done again with the standard library.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

PAST_A_DOUBLE: Final = 310
"""Characters of a whole number whose size is certainly past a double's range, with a sign."""

_decode = msgspec.json.Decoder(float_hook=float).decode
# Its own way takes 7 µs for a number from about 1e289 on, or below 1e-307, 74 ms for a message of
# 64 KiB of them; with `float` each takes 0.1 µs, ordinary ones 0.04 instead of 0.01.
_encode = msgspec.json.Encoder().encode


def _refuse(constant: str) -> Any:
    """For `NaN` and `Infinity`, which the standard library reads although they are not JSON."""
    raise ValueError(f"{constant} is not JSON")


def _whole(digits: str) -> int | float:
    """A whole number, which the standard library refuses to convert when it is long; JavaScript
    reads what is past a double's range as infinite."""
    return float(digits) if len(digits) > PAST_A_DOUBLE else int(digits)


def loads(text: str | bytes) -> Any:
    """The JSON value of `text`. Raises ValueError if it is not JSON, RecursionError if it is
    nested too deeply to be read."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeError):
        if isinstance(text, bytes):  # `json` would guess other encodings, and take broken UTF-8
            text = text.decode()
        return json.loads(text, parse_constant=_refuse, parse_int=_whole)


def dumps(value: Any) -> bytes:
    """JSON text of `value`, UTF-8, without spaces. Lone surrogates come out as escapes."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
