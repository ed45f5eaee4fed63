"""Whole numbers of any size as decimal digits.

CPython refuses to convert more than 4,300 digits at once (`sys.set_int_max_str_digits`), because
the cost grows with the square of the length. The protocol's bound is higher, so longer numbers are
converted in halves; `Limits.max_bigint_digits` bounds the cost.
"""

from __future__ import annotations

from ..errors import RpcError

CHUNK = 4_000
"""Digits that CPython converts in any configuration that it documents as usual."""


def digits(number: int) -> str:
    """`number` in decimal."""
    if number < 0:
        return "-" + digits(-number)
    if number < 10**CHUNK:
        return str(number)
    half = number.bit_length() * 3 // 20  # about half of its digits: log10(2) is 0.30
    high, low = divmod(number, 10**half)
    return digits(high) + digits(low).zfill(half)


def number(text: str) -> int:
    """The number that the decimal `text` stands for. Raises RpcError if it is none."""
    sign, body = (-1, text[1:]) if text[:1] == "-" else (1, text)
    if not (body.isascii() and body.isdigit()):
        raise RpcError(f"Not a whole number in decimal: {text[:40]!r}.")
    return sign * _natural(body)


def _natural(body: str) -> int:
    if len(body) <= CHUNK:
        return int(body)
    half = len(body) // 2
    shift: int = 10**half
    return _natural(body[:-half]) * shift + _natural(body[-half:])
