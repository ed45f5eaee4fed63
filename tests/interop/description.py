"""Values as JSON that the programs in JavaScript can read: `["type", …]`, as in description.mjs.

Two values are the same to the reference and to us if their descriptions are equal. What Python
and JavaScript spell differently and mean alike (1 and 1.0, a pair of surrogates and the character
that it stands for, the order of an object's keys) is described alike.
"""

import json
import math
from array import array
from base64 import b64decode, b64encode
from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias

from capnweb_sync import (
    URL,
    BigInt,
    ByteContainer,
    Headers,
    RemoteError,
    RpcError,
    RpcRangeError,
    RpcTypeError,
    undefined,
)
from capnweb_sync.values.javascript import JSDate

#: `["type", …]`, as JSON has it.
Description: TypeAlias = list[Any]

#: The largest whole number of which a JavaScript number holds all neighbours, too.
MAX_SAFE_INTEGER = 2**53 - 1

#: Names that the reference never takes from a peer, and drops.
RESERVED_KEYS = (
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toJSON",
    "toLocaleString",
    "toString",
    "valueOf",
)

#: The typed arrays that are an `array.array` in Python, by its type code.
ARRAYS = {
    "b": "Int8Array",
    "h": "Int16Array",
    "H": "Uint16Array",
    "i": "Int32Array",
    "I": "Uint32Array",
    "q": "BigInt64Array",
    "Q": "BigUint64Array",
    "f": "Float32Array",
    "d": "Float64Array",
}

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def loads(text: str) -> Any:
    """JSON as JavaScript reads it: whole numbers past the safe ones are doubles."""

    def parse_int(digits: str) -> int | float:
        number = int(digits)
        return number if abs(number) <= MAX_SAFE_INTEGER else float(digits)

    return json.loads(text, parse_int=parse_int)


def describe(value: Any) -> Description:
    """The description of a Python value that has an equal in JavaScript."""
    match value:
        case None:
            return ["null"]
        case bool():
            return ["bool", value]
        case BigInt():
            return ["bigint", f"{int(value):x}"]
        case int() if abs(value) > MAX_SAFE_INTEGER:
            return ["bigint", f"{value:x}"]
        case int() | float():
            return ["number", _describe_number(value)]
        case URL():
            return ["url", str(value)]
        case str():
            return ["string", joined_surrogates(value)]
        case Headers():
            return ["headers", [list(pair) for pair in value]]
        case array():
            return ["bytes", ARRAYS[value.typecode], b64encode(value.tobytes()).decode()]
        case ByteContainer():
            return ["bytes", value.kind, b64encode(value).decode()]
        case bytes():
            return ["bytes", "Uint8Array", b64encode(value).decode()]
        case list() | tuple():
            return ["array", [describe(item) for item in value]]
        case dict():
            return ["object", _describe_entries(value)]
        case datetime():
            return ["date", (value - EPOCH) // timedelta(milliseconds=1)]
        case JSDate():
            return ["date", value.ms]
        case RpcError():
            return ["error", _error_name(value), value.message, _describe_entries(value.properties)]
    if value is undefined:
        return ["undefined"]
    raise TypeError(f"no description of {value!r}")


def _describe_number(value: float) -> float | str:
    if isinstance(value, int):
        return value
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return "-0" if value == 0 and math.copysign(1, value) < 0 else value


def _error_name(error: RpcError) -> str:
    match error:
        case RemoteError():
            return error.name
        case RpcTypeError():
            return "TypeError"
        case RpcRangeError():
            return "RangeError"
    return "Error"


def _describe_entries(entries: dict[str, Any]) -> list[Any]:
    # Without a frame of its own for each: before Python 3.12 that is too many, 255 levels deep.
    keys, values = map(joined_surrogates, entries), map(describe, entries.values())
    return sorted(map(list, zip(keys, values, strict=True)))


def joined_surrogates(text: str) -> str:
    """`text` as JavaScript sees it, where two surrogates in a row are one character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def in_order(description: Description) -> Description:
    """A description that came from JavaScript, with the entries of its objects sorted."""
    match description:
        case ["array", items]:
            return ["array", [in_order(item) for item in items]]
        case ["object" | "error" as kind, *names, entries]:
            return [kind, *names, sorted([key, in_order(value)] for key, value in entries)]
    return description


def build(description: Description) -> Any:
    """The Python value that a description stands for; `describe` gives it back."""
    match description:
        case ["null"]:
            return None
        case ["undefined"]:
            return undefined
        case ["bool" | "string", value]:
            return value
        case ["number", value]:
            return float(value) if isinstance(value, str) else value
        case ["bigint", digits]:
            return BigInt(digits, 16)
        case ["bytes", kind, data]:
            return _build_bytes(kind, b64decode(data))
        case ["url", href]:
            return URL(href)
        case ["headers", pairs]:
            return Headers(tuple((name, value) for name, value in pairs))
        case ["array", items]:
            return [build(item) for item in items]
        case ["object", entries]:
            return {key: build(value) for key, value in entries}
        case ["date", ms]:
            return _build_date(ms)
        case ["error", name, message, entries]:
            properties = {key: build(value) for key, value in entries}
            return RemoteError(message, name=name, properties=properties)
    raise TypeError(f"no Python value for {description!r}")


def _build_bytes(kind: str, data: bytes) -> Any:
    for code, name in ARRAYS.items():
        if name == kind:
            return array(code, data)
    return data if kind == "Uint8Array" else ByteContainer(data, kind)


def _build_date(ms: float | None) -> datetime | JSDate:
    try:
        return JSDate(None) if ms is None else EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return JSDate(ms)
