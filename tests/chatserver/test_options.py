"""The options of calls: what is declared is checked, and the error says what it is."""

import re
from typing import Any

import pytest
from msgspec import Struct

from capnweb_sync import undefined
from chatserver.errors import BadRequest, BadType
from chatserver.options import HistoryOptions, JoinOptions, SendOptions, read_options


@pytest.mark.parametrize("nothing", [None, undefined, {}, {"since": None, "epoch": undefined}])
def test_what_is_absent_has_its_default(nothing: Any) -> None:
    assert read_options(nothing, JoinOptions) == JoinOptions(None, None, None)
    assert read_options(nothing, HistoryOptions).limit == 50


def test_an_entry_that_is_not_known_is_ignored() -> None:
    options = {"since": 2**70, "colour": object(), "\ud800": 1}

    assert read_options(options, JoinOptions) == JoinOptions(since=2**70)


@pytest.mark.parametrize(
    ("kind", "options", "error", "sentence"),
    [
        (JoinOptions, 5, BadType, "The options are a plain object, not a number."),
        (JoinOptions, [], BadType, "The options are a plain object, not an array."),
        (JoinOptions, {"since": "1"}, BadType, "'since' is a whole number, not a string."),
        (JoinOptions, {"since": "\ud800"}, BadType, "'since' is a whole number, not a string."),
        (JoinOptions, {"since": True}, BadType, "'since' is a whole number, not a boolean."),
        (JoinOptions, {"since": 1.5}, BadType, "is a whole number, not a number with a fraction."),
        (JoinOptions, {"since": -1}, BadRequest, "'since' is 0 or more, not -1."),
        (JoinOptions, {"epoch": {}}, BadType, "'epoch' is a string, not an object."),
        (JoinOptions, {"since": 1, "resume": "x" * 65}, BadRequest, "'resume' is at most 64 char"),
        (HistoryOptions, {"limit": 0}, BadRequest, "'limit' is 1 or more, not 0."),
        (SendOptions, {"key": ""}, BadRequest, "'key' is 1 to 64 characters long, not 0."),
        (SendOptions, {"key": b"k"}, BadType, "'key' is a string, not a bytes."),
    ],
)
def test_what_does_not_fit_is_named_and_described(
    kind: type[Struct], options: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=re.escape(sentence)):
        read_options(options, kind)
