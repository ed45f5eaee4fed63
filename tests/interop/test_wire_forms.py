"""What arrives malformed, unusual or too large is taken or refused as the reference does."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import capnweb_sync
from capnweb_sync import DEFAULT_LIMITS, RpcError
from tests.interop.description import RESERVED_KEYS, Description, describe
from tests.interop.node import Codec, Refusal

#: What both make of a text that they refuse.
REFUSED: Description = ["refused"]


def theirs(codec: Codec, text: str) -> Description:
    try:
        return codec.deserialize(text)
    except Refusal:
        return REFUSED


def ours(text: str) -> Description:
    try:
        value = capnweb_sync.deserialize(text)
    except (RpcError, ValueError):
        return REFUSED
    return describe(value)


@pytest.mark.parametrize(
    "text",
    [
        # Not JSON.
        "",
        "nonsense",
        "{",
        "[[1,]]",
        "NaN",
        "01",
        '"\t"',
        "\ufeff1",
        "'a'",
        # JSON at its edges.
        " 1 ",
        "1.0",
        "1e2",
        "1e999",
        "-1e999",
        "1e-999",
        "12345678901234567890",
        '{"a":1,"a":2}',
        # Arrays that are no values.
        "[]",
        "[1]",
        "[null]",
        "[[],[]]",
        '["nonsense"]',
        '["nonsense",1]',
        '["__proto__"]',
        # Escaped arrays.
        "[[]]",
        "[[1,2]]",
        "[[[1]]]",
        "[[[[1]]]]",
        "[[1],2]",
        # undefined, and numbers that JSON has no literal for.
        '["undefined"]',
        '["undefined",1]',
        '["inf"]',
        '["inf",1]',
        '["-inf",1]',
        '["nan",1]',
        # bigint
        '["bigint"]',
        '["bigint",7]',
        '["bigint",null]',
        '["bigint","7","8"]',
        '["bigint","-7"]',
        '["bigint","--7"]',
        '["bigint","007"]',
        '["bigint","7 8"]',
        '["bigint","1_000"]',
        '["bigint","1.5"]',
        '["bigint","1e3"]',
        '["bigint","-0x1F"]',
        '["bigint","٣"]',
        # date
        '["date"]',
        '["date",null]',
        '["date","2025-06-08"]',
        '["date",1.9]',
        '["date",-1.9]',
        '["date",8640000000000001]',
        '["date",1e300]',
        '["date",1,2]',
        '["date",true]',
        # bytes
        '["bytes"]',
        '["bytes",null]',
        '["bytes",[1]]',
        '["bytes",""]',
        '["bytes","AQI"]',
        '["bytes","AQI="]',
        '["bytes","A Q\\nI"]',
        '["bytes","-_-_"]',
        '["bytes","AQI",null]',
        '["bytes","AQI","Nonsense"]',
        '["bytes","AQI","Uint8Array"]',
        '["bytes","AQI","Int16Array"]',
        '["bytes","AQIDBA","Int16Array",1]',
        '["bytes","AQID","Int16Array"]',
        '["bytes","AQID","Float64Array"]',
        '["bytes","","Float64Array"]',
        # What the constructors of the Fetch API refuse.
        '["url",""]',
        '["url","nonsense"]',
        '["url","/relative"]',
        '["url","//example.com/"]',
        '["url","https://"]',
        '["url","https://:80/"]',
        '["url","https://example.com:99999/"]',
        '["url","https://example.com:x/"]',
        '["url","https://[::1/"]',
        '["url","https://exa mple.com/"]',
        '["headers",[["","x"]]]',
        '["headers",[["a b","x"]]]',
        '["headers",[["a:","x"]]]',
        '["headers",[["\\u017f","x"]]]',
        '["headers",[["a","x\\r\\nb: y"]]]',
        '["headers",[["a","\\u0000"]]]',
        '["headers",[["a","\\u20ac"]]]',
        '["request","/relative",{}]',
        '["request","https://example.com/",{"method":"A B"}]',
        '["request","https://example.com/",{"method":"trace"}]',
        '["request","https://example.com/",{"body":"x"}]',
        '["request","https://example.com/",{"headers":[["a\\n","b"]]}]',
        '["response",null,{"status":199}]',
        '["response",null,{"status":600}]',
        '["response","x",{"status":304}]',
        '["response",null,{"statusText":"a\\r\\nb"}]',
        '["response",null,{"headers":[["a","b\\nc"]]}]',
        # url and headers
        '["url"]',
        '["url",1]',
        '["url",null]',
        '["url","https://example.com/a?b#c"]',
        '["url","https://example.com/",1]',
        '["headers"]',
        '["headers",{}]',
        '["headers",[]]',
        '["headers",[],1]',
        '["headers",[["a","b"],["c","d"]]]',
        '["headers",[["a"]]]',
        '["headers",[["a","b","c"]]]',
        '["headers",["ab"]]',
        # error
        '["error"]',
        '["error","Error"]',
        '["error","Error",1]',
        '["error",1,"m"]',
        '["error","Error","m"]',
        '["error","Nonsense","m"]',
        '["error","__proto__","m"]',
        '["error","TypeError","m",null]',
        '["error","TypeError","m",1]',
        '["error","TypeError","m","the stack"]',
        '["error","TypeError","m",null,{}]',
        '["error","TypeError","m",null,null]',
        '["error","TypeError","m",null,[]]',
        '["error","TypeError","m",null,[[1]]]',
        '["error","TypeError","m",null,{"code":"x","name":"n","message":"m2","stack":"s"}]',
        '["error","TypeError","m",null,{"toString":["nonsense"]}]',
        '["error","TypeError","m",null,{"name":["nonsense"]}]',
        '["error","TypeError","m",null,{"cause":["error","RangeError","c"]}]',
        '["error","TypeError","m",null,{},1]',
        '["error","AggregateError","m",null,{"errors":[[["error","Error","e"]]]}]',
        # Names that are part of every object in JavaScript.
        '{"toString":["nonsense"]}',
        # Capabilities, which need a session.
        '["import",1]',
        '["export",-1]',
        '["promise",-1]',
        '["pipeline",1]',
        '["pipeline",1,["a"],[]]',
        '["writable",-1]',
        '["readable",1]',
        '["remap",1,[],[],[]]',
    ],
)
def test_a_text_means_what_it_means_to_the_reference(codec: Codec, text: str) -> None:
    assert ours(text) == theirs(codec, text)


@pytest.mark.parametrize(
    "text",
    [
        '["bigint","+7"]',
        '["bigint",""]',
        '["bigint"," 7 "]',
        '["bigint","0x1F"]',
        '["bigint","0o17"]',
        '["bigint","0b11"]',
        '["bytes","A"]',
        '["url","https://example.com/\\r\\nX: y"]',
        '["bytes","AQI=="]',
        '["bytes","!AQ*I"]',
        '["bytes","AQ=I"]',
    ],
)
def test_what_no_encoder_writes_is_refused_although_the_reference_takes_it(
    codec: Codec, text: str
) -> None:
    assert ours(text) == REFUSED
    assert theirs(codec, text) != REFUSED


@pytest.mark.parametrize("key", RESERVED_KEYS)
def test_names_that_are_dangerous_in_javascript_only_are_kept(codec: Codec, key: str) -> None:
    """The reference drops them, to protect prototypes."""
    text = json.dumps({key: 1})

    assert theirs(codec, text) == ["object", []]
    assert ours(text) == ["object", [[key, ["number", 1]]]]


@pytest.mark.parametrize("levels", [DEFAULT_LIMITS.max_depth - 1, DEFAULT_LIMITS.max_depth])
@pytest.mark.parametrize(
    ("opening", "inside", "closing"),
    [
        ("[[", "1", "]]"),
        ('{"a":', "1", "}"),
        ('["error","Error","m",null,{"a":', "1", "}]"),
        ('[["undefined"],[', "", "]]"),
    ],
    ids=["arrays", "objects", "errors", "malformed arrays"],
)
def test_nesting_is_bounded_where_the_reference_bounds_it(
    codec: Codec, levels: int, opening: str, inside: str, closing: str
) -> None:
    text = opening * levels + inside + closing * levels

    assert (ours(text) == REFUSED) == (theirs(codec, text) == REFUSED)


@pytest.mark.parametrize("levels", [DEFAULT_LIMITS.max_depth - 1, DEFAULT_LIMITS.max_depth])
def test_encoding_is_bounded_where_the_reference_bounds_it(codec: Codec, levels: int) -> None:
    value: Any = None
    description: Description = ["null"]
    for _ in range(levels):
        value = [value]
        description = ["array", [description]]

    def encode(encoder: Any, what: Any, *refusals: type[Exception]) -> bool:
        try:
            encoder(what)
        except refusals:
            return False
        return True

    assert encode(capnweb_sync.serialize, value, RpcError, ValueError) == encode(
        codec.serialize, description, Refusal
    )


@pytest.mark.parametrize("extra", [0, 1])
def test_the_digits_of_a_bigint_are_bounded_where_the_reference_bounds_them(
    codec: Codec, extra: int
) -> None:
    text = json.dumps(["bigint", "9" * (DEFAULT_LIMITS.max_bigint_digits + extra)])

    assert ours(text) == theirs(codec, text)


tags = st.sampled_from(
    ["undefined", "inf", "-inf", "nan", "bigint", "date", "error", "import", "x"]
)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-10, 10), tags, st.sampled_from(["7", "-7", "Error", "é"])
)
json_values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.builds(lambda tag, rest: [tag, *rest], tags, st.lists(inner, max_size=4)),
        st.builds(lambda items: [items], st.lists(inner, max_size=4)),
        st.dictionaries(st.sampled_from(["a", "code", "cause", "name"]), inner, max_size=3),
    ),
    max_leaves=10,
)


@settings(max_examples=1_000)
@given(value=json_values)
@example(value=["error", "Error", "m", None, {"a": ["import", 1]}])
def test_generated_json_means_what_it_means_to_the_reference(codec: Codec, value: Any) -> None:
    text = json.dumps(value)

    assert ours(text) == theirs(codec, text)
