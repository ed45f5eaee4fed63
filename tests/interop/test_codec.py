"""What we encode, the reference decodes to the same value, and back."""

import json
from array import array
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import capnweb_sync
from capnweb_sync import (
    BigInt,
    ByteContainer,
    RemoteError,
    RpcError,
    RpcRangeError,
    RpcTypeError,
    undefined,
)
from capnweb_sync.values.javascript import JSDate
from tests.interop.description import (
    ARRAYS,
    MAX_SAFE_INTEGER,
    RESERVED_KEYS,
    Description,
    build,
    describe,
    joined_surrogates,
    loads,
)
from tests.interop.node import Codec

NESTED_DEEPLY: Description = ["null"]
for _ in range(200):
    NESTED_DEEPLY = ["array", [NESTED_DEEPLY]]

VALUES: dict[str, Description] = {
    "null": ["null"],
    "undefined": ["undefined"],
    "true": ["bool", True],
    "false": ["bool", False],
    "zero": ["number", 0],
    "a whole number": ["number", -42],
    "the largest safe number": ["number", MAX_SAFE_INTEGER],
    "the smallest safe number": ["number", -MAX_SAFE_INTEGER],
    "a number past the safe ones": ["number", 2.0**53],
    "a number past 64 bits": ["number", 2.0**64],
    "a number that JavaScript writes with an exponent": ["number", 1e21],
    "a fraction": ["number", 0.1],
    "the smallest number": ["number", 5e-324],
    "the largest number": ["number", 1.7976931348623157e308],
    "infinity": ["number", "Infinity"],
    "minus infinity": ["number", "-Infinity"],
    "not a number": ["number", "NaN"],
    "an empty string": ["string", ""],
    "a string of every plane": ["string", "aé☃😀\U0010ffff"],
    "control characters": ["string", '\x00\x1b\r\n\u2028\u2029\x7f\\"/'],
    "a lone high surrogate": ["string", "a\ud83d"],
    "a lone low surrogate": ["string", "\ude00b"],
    "surrogates in the wrong order": ["string", "\ude00\ud83d"],
    "a small bigint": ["bigint", "7"],
    "bigint zero": ["bigint", "0"],
    "a negative bigint": ["bigint", "-20000000000001"],
    "a bigint of 10,000 decimal digits": ["bigint", f"{10**10_000 - 1:x}"],
    "the epoch": ["date", 0],
    "a date with milliseconds": ["date", 1_749_342_170_815],
    "a date before 1970": ["date", -1],
    "the first moment of the year 1": ["date", -62_135_596_800_000],
    "the last moment of the year 9999": ["date", 253_402_300_799_999],
    "a date in the year 10000": ["date", 253_402_300_800_000],
    "the last date of JavaScript": ["date", 8_640_000_000_000_000],
    "the first date of JavaScript": ["date", -8_640_000_000_000_000],
    "an invalid date": ["date", None],
    "no bytes": ["bytes", "Uint8Array", ""],
    "one byte, padded": ["bytes", "Uint8Array", "AA=="],
    "bytes with every digit of base64": ["bytes", "Uint8Array", "+/v7/w=="],
    "an empty array": ["array", []],
    "an array of one": ["array", [["number", 1]]],
    "an array in an array": ["array", [["array", [["array", []]]]]],
    "an array that looks like a special value": ["array", [["string", "bigint"], ["string", "7"]]],
    "a deep array": NESTED_DEEPLY,
    "an empty object": ["object", []],
    "an object": ["object", [["a", ["number", 1]], ["b", ["array", [["undefined"]]]]]],
    "an object with unusual keys": [
        "object",
        [["", ["null"]], ["0", ["null"]], ["_private", ["null"]], ["a b", ["null"]]],
    ],
    "an object with a lone surrogate as its key": ["object", [["\ud83d", ["null"]]]],
    "an error": ["error", "Error", "it broke", []],
    "an error without a message": ["error", "Error", "", []],
    "a TypeError": ["error", "TypeError", "wrong", []],
    "a RangeError": ["error", "RangeError", "too far", []],
    "a SyntaxError": ["error", "SyntaxError", "what?", []],
    "a ReferenceError": ["error", "ReferenceError", "who?", []],
    "an EvalError": ["error", "EvalError", "no", []],
    "a URIError": ["error", "URIError", "%", []],
    "an error with properties": [
        "error",
        "RangeError",
        "too far",
        [["code", ["string", "too_far"]], ["limit", ["array", [["bigint", "7"]]]]],
    ],
    "an error with causes": [
        "error",
        "Error",
        "it broke",
        [["cause", ["error", "TypeError", "wrong", [["cause", ["string", "a bad day"]]]]]],
    ],
    "an aggregate error": [
        "error",
        "AggregateError",
        "all of them",
        [["errors", ["array", [["error", "Error", "one", []], ["number", 2]]]]],
    ],
    "a URL": ["url", "https://example.com/a%20b?c=d#e"],
    "no headers": ["headers", []],
    "headers": ["headers", [["accept", "*/*"], ["set-cookie", "a=1"], ["set-cookie", "b=2"]]],
    **{
        kind: ["bytes", kind, "AQIDBAUGBwg="]
        for kind in (
            "ArrayBuffer",
            "DataView",
            "Int8Array",
            "Uint8ClampedArray",
            "Int16Array",
            "Uint16Array",
            "Int32Array",
            "Uint32Array",
            "BigInt64Array",
            "BigUint64Array",
            "Float32Array",
            "Float64Array",
        )
    },
}

value_table = pytest.mark.parametrize("description", VALUES.values(), ids=VALUES)


@value_table
def test_the_reference_decodes_what_we_encode(codec: Codec, description: Description) -> None:
    text = capnweb_sync.serialize(build(description))

    assert codec.deserialize(text) == description


@value_table
def test_we_decode_what_the_reference_encodes(codec: Codec, description: Description) -> None:
    text = codec.serialize(description)

    assert describe(capnweb_sync.deserialize(text)) == description


@value_table
def test_both_encode_a_value_alike(codec: Codec, description: Description) -> None:
    ours = capnweb_sync.serialize(build(description))

    assert loads(ours) == loads(codec.serialize(description))


def test_minus_zero_arrives_in_javascript_but_not_from_it(codec: Codec) -> None:
    """JavaScript's `JSON.stringify` writes it as 0."""
    assert codec.deserialize(capnweb_sync.serialize(-0.0)) == ["number", "-0"]
    assert describe(capnweb_sync.deserialize(codec.serialize(["number", "-0"]))) == ["number", 0]


def test_a_date_is_cut_to_whole_milliseconds(codec: Codec) -> None:
    moment = datetime(2025, 6, 8, 0, 22, 50, 815_999, tzinfo=timezone(timedelta(hours=2)))

    assert codec.deserialize(capnweb_sync.serialize(moment)) == ["date", 1_749_334_970_815]


# ---- generated values

#: How many values go each way; seconds on a machine with nothing else to do.
EXAMPLES = 1_500

#: Names that an error has on its own.
ERROR_KEYS = {"name", "message", "stack"}

any_text = st.text(st.characters(exclude_categories=()))
keys = any_text.map(joined_surrogates).filter(lambda key: key not in RESERVED_KEYS)
out_of_range_ms = st.one_of(
    st.integers(253_402_300_800_000, 8_640_000_000_000_000),
    st.integers(-8_640_000_000_000_000, -62_135_596_800_001),
)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
plain_values = st.one_of(
    st.none(),
    st.just(undefined),
    st.booleans(),
    st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER),
    st.integers(),
    st.integers().map(BigInt),
    st.floats(),
    any_text,
    st.binary(),
    st.datetimes(timezones=offsets),
    st.builds(JSDate, st.none() | out_of_range_ms),
    st.builds(array, st.sampled_from(list(ARRAYS)), st.binary(max_size=5).map(lambda b: b * 8)),
    st.builds(ByteContainer, st.binary(), st.sampled_from(["ArrayBuffer", "DataView"])),
)


def errors(values: st.SearchStrategy[Any]) -> st.SearchStrategy[RpcError]:
    """Errors of each class with properties, as we make them and as they arrive."""
    properties = st.dictionaries(keys.filter(lambda key: key not in ERROR_KEYS), values, max_size=3)

    def own(kind: type[RpcError], message: str, entries: dict[str, Any]) -> RpcError:
        error = kind(message)
        error.properties.update(entries)
        return error

    def remote(message: str, name: str, entries: dict[str, Any]) -> RpcError:
        return RemoteError(message, name=name, properties=entries)

    kinds = st.sampled_from([RpcError, RpcTypeError, RpcRangeError])
    names = st.sampled_from(["Error", "EvalError", "SyntaxError", "TypeError", "URIError"])
    return st.builds(own, kinds, any_text, properties) | st.builds(
        remote, any_text, names, properties
    )


values = st.recursive(
    plain_values,
    lambda values: st.one_of(
        st.lists(values, max_size=4),
        st.dictionaries(keys, values, max_size=4),
        errors(values),
    ),
    max_leaves=12,
)


@settings(max_examples=EXAMPLES)
@given(value=values)
def test_a_generated_value_arrives_in_javascript(codec: Codec, value: Any) -> None:
    assert codec.deserialize(capnweb_sync.serialize(value)) == describe(value)


@settings(max_examples=EXAMPLES)
@given(value=values)
def test_a_generated_value_arrives_from_javascript(codec: Codec, value: Any) -> None:
    text = codec.serialize(describe(value))

    assert describe(capnweb_sync.deserialize(text)) == _without_minus_zero(describe(value))


def _without_minus_zero(description: Description) -> Description:
    """What is left of a value that JavaScript wrote: it has no JSON for -0."""
    text = json.dumps(description).replace('["number", "-0"]', '["number", 0]')
    result: Description = loads(text)
    return result
