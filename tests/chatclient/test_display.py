"""What is shown, and that it is harmless."""

import sys
import unicodedata
from datetime import datetime, timezone
from typing import Literal

import pytest

from chatclient import Event
from chatclient.display import escaped, indented, line_of, line_of_users


def event(kind: Literal["chat", "join", "leave"], user: str, text: str) -> Event:
    return Event(1, kind, user, text, datetime.now(timezone.utc))


def test_a_message_is_shown_with_its_author() -> None:
    assert line_of(event("chat", "Alice", "Hello everyone!")) == "[Alice]: Hello everyone!"


def test_a_notice_is_shown_with_a_star() -> None:
    assert line_of(event("join", "Bob", "Bob joined the chat")) == "* Bob joined the chat"


def test_a_newline_is_shown_and_what_follows_is_indented() -> None:
    shown = line_of(event("chat", "Mallory", "hi\r\n[Alice]: I resign\n"))
    assert shown == "[Mallory]: hi\n    [Alice]: I resign\n    "


def test_a_newline_in_a_name_or_notice_does_not_begin_a_line() -> None:
    assert line_of(event("chat", "a\nb", "x")) == "[a\\nb]: x"
    assert line_of(event("join", "a", "a\nb joined")) == "* a\\nb joined"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("\rfake", "\\rfake"),
        ("a\x00b\x7fc\x08", "a\\x00b\\x7fc\\x08"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("a\u2028b", "a\\u2028b"),
        ("\ud83d", "\\ud83d"),
    ],
)
def test_what_would_do_something_is_shown_as_its_number(text: str, shown: str) -> None:
    assert escaped(text) == shown
    assert indented(text) == shown


def test_no_control_character_of_unicode_gets_through() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = indented(everything).replace("\n", "")
    assert {c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")} == set()
    assert {c for c in shown if unicodedata.bidirectional(c) in BIDI_CONTROLS} == set()


BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize("text", ["grüße", "日本語", "👩‍👩‍👧", "مرحبا", "é", "a  b"])
def test_what_people_write_is_shown_as_it_is(text: str) -> None:
    assert indented(text) == text


def test_users_are_shown_as_a_list() -> None:
    assert line_of_users(["Alice", "Bob"]) == "Users online: ['Alice', 'Bob']"


def test_a_crowd_is_shown_in_part() -> None:
    shown = line_of_users([f"user{number}" for number in range(1_000)])
    assert shown.endswith("'user199'] and 800 others")
