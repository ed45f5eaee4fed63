"""Values: what travels, in which form, and what it is when it arrives."""

import enum
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from capnweb_sync import (
    BigInt,
    JSDate,
    RemoteError,
    RemoteRangeError,
    RemoteTypeError,
    RpcError,
    RpcRangeError,
    RpcTarget,
    RpcTypeError,
    deserialize,
    serialize,
    undefined,
)
from capnweb_sync.values import json_text

from .loopback import Loopback

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


class Echo(RpcTarget):
    def echo(self, value: Any) -> Any:
        return value


def through(value: Any) -> Any:
    """`value` after it went to a peer and came back."""
    return Loopback(Echo()).api.echo(value).result()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (-0.5, "-0.5"),
        ("hé\u2028", '"hé\u2028"'),
        ([], "[[]]"),
        ([1, [2]], "[[1,[[2]]]]"),
        ((1, 2), "[[1,2]]"),
        ({"a": [{}]}, '{"a":[[{}]]}'),
        (undefined, '["undefined"]'),
        (math.inf, '["inf"]'),
        (-math.inf, '["-inf"]'),
        (math.nan, '["nan"]'),
        (b"hello!", '["bytes","aGVsbG8h"]'),
        (b"a", '["bytes","YQ"]'),
        (2**53 - 1, "9007199254740991"),
        (2**53, '["bigint","9007199254740992"]'),
        (-(2**53), '["bigint","-9007199254740992"]'),
        (BigInt(7), '["bigint","7"]'),
        (datetime(2024, 1, 2, tzinfo=timezone.utc), '["date",1704153600000]'),
        (JSDate(None), '["date",null]'),
    ],
)
def test_each_value_has_the_form_that_the_protocol_gives_it(value: Any, text: str) -> None:
    assert serialize(value) == text


@pytest.mark.parametrize(
    "value",
    [
        None,
        undefined,
        False,
        0,
        1.5,
        -math.inf,
        "",
        "\x00\ud83d",
        b"",
        bytes(range(256)),
        2**64,
        [],
        [[]],
        [["undefined"]],
        ["bigint", "5"],
        [[1], [[2]]],
        {},
        {"__proto__": 1, "toJSON": 2, "": 3},
        {"a": [undefined, None, {"b": b"x"}]},
        datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc),
        datetime(1, 1, 1, tzinfo=timezone.utc),
        datetime(9999, 12, 31, tzinfo=timezone.utc),
        JSDate(None),
        JSDate(8.64e15),
    ],
)
def test_a_value_arrives_as_it_was_sent(value: Any) -> None:
    arrived = through(value)
    assert arrived == value
    assert type(arrived) is type(value) or (type(value) is int and type(arrived) is BigInt)


def test_a_whole_number_arrives_whatever_its_size() -> None:
    assert through(-(10**16_000) + 1) == -(10**16_000) + 1


def test_nan_arrives_as_nan() -> None:
    assert math.isnan(through(math.nan))


def test_a_date_arrives_in_utc_to_the_millisecond() -> None:
    sent = datetime(2024, 5, 6, 7, 8, 9, 123999, tzinfo=timezone(timedelta(hours=2)))
    arrived = through(sent)
    assert arrived == datetime(2024, 5, 6, 5, 8, 9, 123000, tzinfo=timezone.utc)
    assert arrived.utcoffset() == timedelta(0)


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Point(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
    ],
)
def test_subclasses_of_plain_types_go_as_these(value: Any, plain: Any) -> None:
    assert through(value) == plain


class Suit(enum.Enum):
    HEARTS = "hearts"


@dataclass
class Card:
    suit: Suit
    number: int
    seen: datetime | None = None
    proof: bytes = b""
    more: Any = None


class Deck(msgspec.Struct, rename="camel"):
    top_card: Card


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Suit.HEARTS, "hearts"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (date(2026, 1, 2), "2026-01-02"),
        (
            [Deck(Card(Suit.HEARTS, 2**70, MOMENT, b"x", undefined))],
            [
                {
                    "topCard": {
                        "suit": "hearts",
                        "number": 2**70,
                        "seen": MOMENT,
                        "proof": b"x",
                        "more": undefined,
                    }
                }
            ],
        ),
    ],
    ids=["enumeration", "uuid", "decimal", "day", "struct and dataclass"],
)
def test_data_of_a_class_goes_in_its_plain_form(value: Any, plain: Any) -> None:
    assert through(value) == plain


@pytest.mark.parametrize("inside", [lambda: None, Echo(), {1, object()}])
def test_data_of_a_class_holds_data_only(inside: Any) -> None:
    with pytest.raises(TypeError, match="Card can't be sent: what is in it must be data"):
        serialize(Card(Suit.HEARTS, 1, more=inside))


@pytest.mark.parametrize(
    "value",
    [object(), Card, {1: 2}, {1, 2}, 1j, int, datetime(2024, 1, 1), [object()]],  # noqa: DTZ001
    ids=["object", "dataclass", "number as key", "set", "complex", "class", "naive date", "nested"],
)
def test_what_cannot_be_sent_is_a_type_error_at_once(value: Any) -> None:
    pair = Loopback(Echo())
    with pytest.raises(TypeError):
        pair.api.echo(value)
    assert pair.api.echo(1).result() == 1


def test_a_value_that_contains_itself_cannot_be_sent() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="contain itself"):
        serialize(value)


def test_a_function_needs_a_session() -> None:
    with pytest.raises(TypeError, match="session"):
        serialize({"callback": test_nan_arrives_as_nan})


def test_an_error_value_arrives_with_class_message_and_properties() -> None:
    arrived = through(RpcError("no such thing", code="missing", what=["a", b"b"]))
    assert type(arrived) is RemoteError
    assert (arrived.message, arrived.code) == ("no such thing", "missing")
    assert arrived.properties == {"code": "missing", "what": ["a", b"b"]}


@pytest.mark.parametrize(
    ("text", "cls", "name"),
    [
        ('["error","TypeError","m"]', RemoteTypeError, "TypeError"),
        ('["error","RangeError","m"]', RemoteRangeError, "RangeError"),
        ('["error","AggregateError","m",null,{"errors":[[]]}]', RemoteError, "AggregateError"),
        ('["error","DOMException","m"]', RemoteError, "Error"),
        ('["error","__class__","m"]', RemoteError, "Error"),
    ],
)
def test_the_class_of_an_arriving_error_is_one_of_the_well_known_ones(
    text: str, cls: type[RemoteError], name: str
) -> None:
    error = deserialize(text)
    assert type(error) is cls
    assert error.name == name


def test_properties_of_an_arriving_error_shadow_nothing() -> None:
    error = deserialize(
        '["error","Error","m","the stack",{"args":1,"__class__":2,"code":3,"properties":4,'
        '"name":5,"message":6,"stack":7}]'
    )
    assert error.args == ("m",)
    assert type(error) is RemoteError
    assert error.code is None  # a code is a string
    assert error.properties == {"args": 1, "__class__": 2, "code": 3, "properties": 4}
    assert (error.name, error.message, error.stack) == ("Error", "m", "the stack")


def test_the_cause_of_an_arriving_error_is_its_cause_here() -> None:
    error = deserialize('["error","Error","m",null,{"cause":["error","TypeError","inner"]}]')
    assert type(error.__cause__) is RemoteTypeError
    assert error.properties["cause"] is error.__cause__


@pytest.mark.parametrize(
    "text",
    [
        '["bigint","12x"]',
        '["bigint",""]',
        '["bigint",12]',
        '["date","2024"]',
        '["date",true]',
        '["bytes",5]',
        '["bytes","a"]',
        '["error","Error"]',
        '["error","Error","m",null,5]',
        '["error",1,"m"]',
        '["undefined",1]',
        '["unknown"]',
        "[]",
        "[1]",
        "[[],[]]",
        '["export",-1]',
        '["promise",-1]',
        '["import",0]',
        '["pipeline",0,["f"],[]]',
    ],
)
def test_a_malformed_expression_is_an_rpc_error(text: str) -> None:
    with pytest.raises(RpcError):
        deserialize(text)


@pytest.mark.parametrize("text", ["", "{", "nul", "[NaN]", "[Infinity]", "[-Infinity]", "\ufeff1"])
def test_what_is_not_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 the sentence is the JSON library's
        deserialize(text)


@pytest.mark.parametrize("text", ['["date",1e999]', '["date",-1e999]', '["date",8.65e15]'])
def test_a_date_that_javascript_cannot_hold_is_an_invalid_one(text: str) -> None:
    assert deserialize(text) == JSDate(None)


def test_a_number_too_large_for_a_double_is_infinite_as_in_javascript() -> None:
    assert deserialize("[[1e999,-1e999]]") == [math.inf, -math.inf]


def test_a_lone_surrogate_travels_in_any_place() -> None:
    value = {"\ud83d": ["\udc00", BigInt(2**70), math.inf]}
    assert deserialize(serialize(value)) == value


@pytest.mark.parametrize("text", ["YWI", "YWI=", "Y W\tI=\r\n", "YWJj", "-_-_", "+/+/", ""])
def test_bytes_arrive_with_or_without_padding_in_either_alphabet(text: str) -> None:
    assert type(deserialize(json_text.dumps(["bytes", text]))) is bytes
    assert deserialize(json_text.dumps(["bytes", "YWI="])) == b"ab"


@pytest.mark.parametrize(
    "text",
    [
        "a!b@c#d$",
        "YWI==",
        "Y=WI",
        "=YWI",
        "YWJj=",
        "YWJjZ",
        "YQ=",
        "====",
        "YWI\0",
        "YW\u0130",
        "YW.I",
    ],
)
def test_what_is_not_base64_is_no_bytes(text: str) -> None:
    with pytest.raises(RpcTypeError, match="base64"):
        deserialize(json_text.dumps(["bytes", text]))


@pytest.mark.parametrize(
    "expression",
    [
        ["url", "https://example.com:8443/a%20b?c=d#e"],
        ["url", "http://[::1]:80/"],
        ["url", "https://user:secret@xn--bcher-kva.example/"],
        ["url", "data:text/plain,a b"],
        ["url", "file:///etc/passwd"],
        ["url", "blob:null/1"],
        ["headers", [["Content-Type", " text/plain\t"], ["x", ""], ["x", "caf\xe9"]]],
        ["request", "https://example.com/", {"method": "DELETE"}],
        ["request", "https://example.com/", {"method": "POST", "body": "x"}],
        ["response", None, {"status": 204, "statusText": "No Content"}],
        ["response", "x", {"status": 599, "headers": [["a", "b"]]}],
    ],
)
def test_a_value_of_the_fetch_api_arrives(expression: Any) -> None:
    assert deserialize(json_text.dumps(expression)) is not None


@pytest.mark.parametrize(
    "expression",
    [
        ["url", ""],
        ["url", "nonsense"],
        ["url", "/relative"],
        ["url", "//example.com/"],
        ["url", "https://"],
        ["url", "https://:80/"],
        ["url", "https://example.com:99999/"],
        ["url", "https://example.com:x/"],
        ["url", "https://[::1/"],
        ["url", "https://exa mple.com/"],
        ["url", "https://example.com/\r\nX: y"],
        ["headers", [["", "x"]]],
        ["headers", [["a b", "x"]]],
        ["headers", [["a:", "x"]]],
        ["headers", [["\u017f", "x"]]],
        ["headers", [["a", "x\r\nb: y"]]],
        ["headers", [["a", "\0"]]],
        ["headers", [["a", "\u20ac"]]],
        ["request", "/relative", {}],
        ["request", "https://example.com/", {"method": "A B"}],
        ["request", "https://example.com/", {"method": "trace"}],
        ["request", "https://example.com/", {"body": "x"}],
        ["request", "https://example.com/", {"headers": [["a\n", "b"]]}],
        ["response", None, {"status": 199}],
        ["response", None, {"status": 600}],
        ["response", "x", {"status": 304}],
        ["response", None, {"statusText": "a\r\nb"}],
        ["response", None, {"headers": [["a", "b\nc"]]}],
    ],
)
def test_what_the_fetch_api_refuses_is_refused(expression: Any) -> None:
    """What HTTP cannot carry could be put to use by whoever is handed the value."""
    with pytest.raises((RpcTypeError, RpcRangeError)):
        deserialize(json_text.dumps(expression))


@pytest.mark.parametrize(
    "text",
    [
        b'"\xed\xa0\xbd"',
        b'"\xc0\xaf"',
        b'"\xff"',
        '"x"'.encode("utf-16"),
        '"x"'.encode("utf-16-le"),
        '"x"'.encode("utf-32"),
        '"x"'.encode("utf-8-sig"),
    ],
)
def test_bytes_that_are_not_utf_8_are_not_json(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 the sentence is the codec's
        deserialize(text)


@pytest.mark.parametrize("digits", [400, 5_000, 100_000])
def test_a_number_of_any_length_is_read_as_in_javascript(digits: int) -> None:
    assert deserialize("9" * digits) == math.inf
    assert deserialize("[[-" + "9" * digits + "]]") == [-math.inf]
    assert deserialize("0." + "9" * digits) == 1.0


@pytest.mark.parametrize("number", ["1e300", "5e-324", "1.7976931348623157e308", "1e999"])
def test_no_number_takes_much_longer_to_read_than_others(number: str) -> None:
    def seconds(number: str) -> float:
        text = f"[{','.join([number] * 5_000)}]"
        tries = []
        for _ in range(3):
            began = time.thread_time()
            json_text.loads(text)
            tries.append(time.thread_time() - began)
        return min(tries)

    assert seconds(number) < 20 * seconds("0.1")
