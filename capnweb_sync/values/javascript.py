"""The values of JavaScript that Python has no type for.

Everything else maps to what a Python developer expects: `null` is `None`, a `Date` is an aware
`datetime` in UTC, a `Uint8Array` is `bytes`, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, final

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""The largest whole number that a JavaScript number holds exactly (ECMA-262, 21.1.2.6)."""

MAX_DATE_MS: Final = 8.64e15
"""Milliseconds from 1970 to the first and last moment of a JavaScript `Date` (ECMA-262,
21.4.1.1); what is beyond them is an invalid date."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


@final
class Undefined:
    """The type of `undefined`, JavaScript's second kind of nothing. It is false."""

    __slots__ = ()
    _instance: Undefined | None = None

    def __new__(cls) -> Undefined:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "undefined"

    def __reduce__(self) -> str:
        return "undefined"


undefined: Final = Undefined()


class BigInt(int):
    """A whole number that travels as a JavaScript `bigint`, whatever its size.

    Plain `int`s do so only beyond ±(2**53 - 1), where a JavaScript number would round them.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class JSDate:
    """A JavaScript `Date` that `datetime` cannot hold.

    Attributes:
        ms: milliseconds since 1970 in UTC, outside the years 1 to 9999, or None for an invalid date
            (what `new Date("nonsense")` gives).
    """

    ms: float | None


def date_from_ms(ms: float) -> datetime | JSDate:
    """The date for `ms`, milliseconds since 1970 in UTC; a fraction of one is cut off, as in
    JavaScript."""
    if not abs(ms) <= MAX_DATE_MS:
        return JSDate(None)
    try:
        return EPOCH + timedelta(milliseconds=int(ms))
    except OverflowError:
        return JSDate(ms)


def ms_from_date(value: datetime) -> int:
    """Milliseconds since 1970 in UTC, rounded down.

    Raises TypeError for a naive datetime: which moment it means depends on the machine.
    """
    if value.tzinfo is None:
        raise TypeError(
            f"Cannot send {value!r}: it has no time zone. Use datetime.now(timezone.utc)"
            " or value.astimezone()."
        )
    return (value - EPOCH) // timedelta(milliseconds=1)
