"""…"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

import msgspec

from ..values.javascript import BigInt, JSDate, Undefined

DATA: Final = (msgspec.Struct, Enum, UUID, Decimal, date, time, timedelta)
"""Types, beside dataclasses, of data that msgspec has a plain form for: the one that it takes for
a parameter which is annotated with the type."""


IN_DATA: Final = (bytes, bytearray, memoryview, datetime, BigInt, JSDate, Undefined)
"""Types of what may stand in data and has a form of its own in the protocol."""


def as_plain(value: Any) -> Any:
    """The plain form of `value`, a dataclass or one of `DATA`. Raises TypeError for a capability in
    it: who would own that?"""
    if isinstance(value, type):
        raise TypeError(f"The class {value.__qualname__} can't be sent, only objects of it.")
    try:
        return msgspec.to_builtins(value, builtin_types=IN_DATA)
    except TypeError as error:
        raise TypeError(
            f"A value of type {type(value).__qualname__} can't be sent: what is in it must be"
            f" data. {error}."
        ) from None
