"""Data with a class: dataclasses, msgspec's `Struct`, enumerations, and what else msgspec has a
plain form for: the one that it takes for a parameter annotated with the class."""

from __future__ import annotations

from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

import msgspec

from ..core.late import late
from ..runtimes.steps import serving
from ..values.javascript import BigInt, JSDate, Undefined, undefined
from .encoder import Encoder
from .registry import encoder_of, encodes, encodes_if

IN_DATA: Final = (bytes, bytearray, memoryview, datetime, BigInt, JSDate, Undefined)
"""Types of what may stand in data and has a form of its own in the protocol."""


def is_data(value: Any) -> bool:
    """Whether `value` is an object of a dataclass."""
    return is_dataclass(value) and not isinstance(value, type)


@encodes(msgspec.Struct, Enum, UUID, Decimal, date, time, timedelta)
@encodes_if(is_data)
def encode_data(encoder: Encoder, value: Any, depth: int) -> Any:
    """Its plain form. Raises TypeError for a capability in it: who would own that?"""
    return encoder.encode_part(plain_form(value), depth)


def plain_form(value: Any) -> Any:
    """What is sent of data with a class. Raises TypeError like `encode_data`."""
    try:
        return msgspec.to_builtins(value, builtin_types=IN_DATA)
    except TypeError as error:
        raise TypeError(
            f"A value of type {type(value).__qualname__} can't be sent: what is in it must be"
            f" data. {error}."
        ) from None


def opened(value: Any) -> Any:
    """The plain form of `value`, which a path goes through; undefined if it is no data with a
    class. Raises TypeError like `encode_data`."""
    if encoder_of(value) is not encode_data:
        return undefined
    calls = serving.calls
    if calls is not None:
        calls.pay_copy(value)
    plain = plain_form(value)
    if calls is not None:
        calls.pay_copy(plain)
    return plain


late.open_data = opened
