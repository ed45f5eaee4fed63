"""Arguments as they are typed, and results as `jq` reads them."""

import io
import json
from array import array
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from capnweb_sync import (
    URL,
    BigInt,
    Blob,
    ByteContainer,
    Headers,
    JSDate,
    ReadableStream,
    RemoteError,
    Response,
    RpcStub,
    undefined,
)
from capnweb_sync.shell.arguments import argument, path
from capnweb_sync.shell.output import Output, line


def callback() -> None: ...


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("1", 1),
        ("-2.5", -2.5),
        ("null", None),
        ('"1"', "1"),
        ('{"a": [true, "x"]}', {"a": [True, "x"]}),
        ("", ""),
        ("Hello everyone!", "Hello everyone!"),
        ("{not json", "{not json"),
        ("NaN", "NaN"),
        ("@", callback),
        ('{"onMessage": @, "list": [@]}', {"onMessage": callback, "list": [callback]}),
        ('"@"', "@"),
        ('["a \\" @"]', ['a " @']),
        ("ada@example.com", "ada@example.com"),
        ("@ada", "@ada"),
    ],
)
def test_an_argument_is_json_or_text_or_a_callback(typed: str, value: Any) -> None:
    assert argument(typed, callback) == value


def test_a_path_has_names_and_places() -> None:
    assert path("rooms.0.history") == ["rooms", 0, "history"]
    for wrong in ("", ".a", "a..b", "a."):
        with pytest.raises(ValueError, match="a method is a name"):
            path(wrong)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (undefined, "null"),
        ({"ä": (1, 2.5, True)}, '{"ä":[1,2.5,true]}'),
        (float("nan"), "null"),
        (float("-inf"), "null"),
        (BigInt(2**80), str(2**80)),
        (datetime(2026, 1, 2, 3, 4, 5, 678000, timezone.utc), '"2026-01-02T03:04:05.678Z"'),
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1))), '"2026-01-01T23:00:00.000Z"'),
        (JSDate(None), "null"),
        (JSDate(8.64e15), "8640000000000000.0"),
        (b"\0\xff", '"AP8="'),
        (ByteContainer(b"ab", "ArrayBuffer"), '"YWI="'),
        (array("h", [1, -1]), "[1,-1]"),
        (Blob(b"ab", "text/plain"), '{"type":"text/plain","data":"YWI="}'),
        (Headers((("a", "b"),)), '[["a","b"]]'),
        (URL("https://a.b/"), '"https://a.b/"'),
        (
            RemoteError("No.", name="TypeError", properties={"code": "no"}),
            '{"name":"TypeError","message":"No.","code":"no"}',
        ),
        ([RpcStub(callback), ReadableStream(())], '["<stub>","<stream>"]'),
        ("😀", '"😀"'),
        ("\x1b[2J\x7f\x9b1m\u202e\u2028", '"\\u001b[2J\\u007f\\u009b1m\\u202e\\u2028"'),
        ("\ud83d", '"\\ud83d"'),
    ],
)
def test_a_value_is_one_line_of_json(value: Any, text: str) -> None:
    assert line(value).decode() == f"{text}\n"


def test_a_response_is_an_object() -> None:
    shown = json.loads(line(Response("hello", headers=Headers((("a", "b"),)))))

    assert (shown["status"], shown["body"], shown["headers"]) == (200, "hello", [["a", "b"]])


def test_after_the_end_nothing_is_written() -> None:
    file = io.BytesIO()
    output = Output(file)
    output.show(1)

    output.end()
    output.show(2)

    assert file.getvalue() == b"1\n"
