"""Plain values that JSON has no form for: big integers, dates, `undefined`, numbers that are not
finite."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..errors import RpcTypeError
from ..values import digits
from ..values.javascript import BigInt, JSDate, Undefined, date_from_ms, ms_from_date, undefined
from .encoder import Encoder
from .evaluator import Evaluator, unknown
from .registry import encodes, evaluates


@encodes(BigInt)
def encode_bigint(encoder: Encoder, value: BigInt, depth: int) -> Any:
    """`["bigint", digits]`; plain integers that JavaScript cannot hold go so, too."""
    return ["bigint", digits.digits(value)]


@encodes(datetime)
def encode_date(encoder: Encoder, value: datetime, depth: int) -> Any:
    """`["date", milliseconds]`."""
    return ["date", ms_from_date(value)]


@encodes(JSDate)
def encode_js_date(encoder: Encoder, value: JSDate, depth: int) -> Any:
    """`["date", milliseconds or null]`."""
    return ["date", value.ms]


@encodes(Undefined)
def encode_undefined(encoder: Encoder, value: Undefined, depth: int) -> Any:
    """`["undefined"]`."""
    return ["undefined"]


@evaluates("bigint")
def evaluate_bigint(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> BigInt:
    """`["bigint", digits]`."""
    if len(value) < 2 or not isinstance(value[1], str):
        raise unknown(value)
    limit = evaluator.importer.limits.max_bigint_digits
    if len(value[1]) > limit:
        raise RpcTypeError(f"Deserialized bigint exceeds maximum length of {limit} digits.")
    return BigInt(digits.number(value[1]))


@evaluates("date")
def evaluate_date(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> datetime | JSDate:
    """`["date", milliseconds or null]`."""
    if len(value) < 2 or isinstance(value[1], bool):
        raise unknown(value)
    if value[1] is None:
        return JSDate(None)
    if not isinstance(value[1], (int, float)):
        raise unknown(value)
    return date_from_ms(value[1])


@evaluates("undefined")
def evaluate_undefined(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Undefined:
    """`["undefined"]`."""
    if len(value) != 1:
        raise unknown(value)
    return undefined


@evaluates("inf", "-inf", "nan")
def evaluate_number(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> float:
    """`["inf"]`, `["-inf"]`, `["nan"]`: Python knows them by the same names."""
    return float(value[0])
