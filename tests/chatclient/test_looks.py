"""Colours, wrapped lines, and what `/help` fits into: the pure parts of what is shown."""

import re
from datetime import datetime, timedelta, timezone

import pytest
from prompt_toolkit.utils import get_cwidth

from chatclient import Event
from chatclient.commands import Misuse, addressed, help_text, parse, targeted
from chatclient.looks import CUBE, FEW, LEGIBLE, Ink, fold, ink_for, luminance
from chatclient.showing import Showing, Wishes
from tests.chatclient.typist import Typist

PLAIN = Ink((), plain=True)


def lines_of(text: str, width: int | None) -> list[str]:
    return [PLAIN.paint(line) for line in fold([("1", text[:3]), ("", text[3:])], width)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("one two three four", ["one two", "    three", "    four"]),
        ("exactly 10", ["exactly 10"]),
        ("abcdefghijklmnop", ["abcdefghij", "    klmnop"]),
        ("a\nb", ["a", "    b"]),
        ("日本語日本語", ["日本語日本", "    語"]),
    ],
)
def test_lines_are_wrapped_at_words_with_a_hanging_indent(text: str, lines: list[str]) -> None:
    assert lines_of(text, 10) == lines


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_line_is_wider_than_the_screen_and_nothing_is_lost(width: int) -> None:
    text = "It was the best of times 日本語 👩‍👩‍👧 " * 9 + "x" * 300
    lines = lines_of(text, width)
    assert all(get_cwidth(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_pipes_are_not_wrapped() -> None:
    assert lines_of("x" * 500, None) == ["x" * 500]


def test_names_have_colours_that_are_legible_on_black_and_on_white() -> None:
    assert len(LEGIBLE) > 20
    for look in LEGIBLE:
        light = luminance(CUBE[int(look.rpartition(";")[2])])
        assert (light + 0.05) / 0.05 > 3.3
        assert 1.05 / (light + 0.05) > 3.3


def test_a_name_has_always_the_same_colour() -> None:
    ink = Ink(LEGIBLE)
    assert ink.of("Ann") == Ink(LEGIBLE).of("ann")
    assert len({ink.of(f"name {number}") for number in range(200)}) > 20


def test_colours_are_as_the_environment_and_the_option_say() -> None:
    term = {"TERM": "xterm-256color"}
    assert ink_for(term, "auto", can=True).of("Ann") in LEGIBLE
    assert ink_for({"TERM": "linux"}, "auto", can=True).of("Ann") in FEW
    assert ink_for({**term, "NO_COLOR": "1"}, "auto", can=True).of("Ann") == ""
    assert ink_for({**term, "NO_COLOR": "1"}, "always", can=True).of("Ann") in LEGIBLE
    assert ink_for(term, "never", can=True).of("Ann") == ""
    assert ink_for(term, "auto", can=False).paint([("1", "x")]) == "x"


def test_the_help_is_grouped_and_fits_into_forty_columns() -> None:
    lines = help_text().split("\n")[:-2]
    assert max(map(len, lines)) <= 40
    assert [line for line in lines if line.endswith(":")] == [
        "Talking:",
        "Rooms:",
        "Reading:",
        "The rest:",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/whisper", "There is no /whisper. /help says what there is."),
        ("/histroy", "There is no /histroy. Is it /history? /help says what there is."),
        ("/quit now", "It is /quit, with nothing behind it."),
        ("/time maybe", "It is /time on, or /time off."),
        ("/msg", "It is /msg NAME TEXT."),
    ],
)
def test_what_is_no_command_is_told_with_how_it_would_be_one(line: str, sentence: str) -> None:
    with pytest.raises(Misuse, match=re.escape(sentence)):
        parse(line)


def test_which_message_is_meant() -> None:
    assert targeted("#12 yes") == ((12, ""), "yes")
    assert targeted("@Bob yes") == ((0, "Bob"), "yes")
    assert targeted("yes #12") == ((0, ""), "yes #12")


def test_whom_a_message_is_for() -> None:
    names = {"Echo", "Echo bot"}
    assert addressed("echo bot ping", names) == ("Echo bot", "ping")
    assert addressed("@Echo ping", names) == ("Echo", "ping")
    assert addressed("Bob hello there", names) == ("Bob", "hello there")


# ---- What is shown of events


def shown(*events: Event, wishes: Wishes | None = None) -> list[str]:
    """The lines of these events on a terminal."""
    typist = Typist()
    showing = Showing(typist, PLAIN, wishes or Wishes(), interactive=True)
    showing.begin("Ann", "lobby")
    for event in events:
        showing.happen(event)
    return typist.lines


def said(number: int, text: str, time: datetime, user: str = "Bob") -> Event:
    return Event(number, "chat", user, text, time, room="lobby", prev=number - 1)


def test_times_and_numbers_are_shown_if_wanted() -> None:
    now = datetime.now(timezone.utc)
    lines = shown(said(1, "hi", now), wishes=Wishes(times=True, ids=True))
    assert lines == [f"{now.astimezone():%H:%M} #1 [Bob]: hi"]


def test_a_line_tells_of_another_day() -> None:
    now = datetime.now(timezone.utc)
    before = now - timedelta(days=2)
    day, today = before.astimezone(), now.astimezone()
    lines = shown(said(1, "hi", before), said(2, "ho", before), said(3, "today", now))
    assert lines == [
        f"—— {day:%A} {day.day} {day:%B %Y} ——",
        "[Bob]: hi",
        "[Bob]: ho",
        f"—— {today:%A} {today.day} {today:%B %Y} ——",
        "[Bob]: today",
    ]


def test_one_s_own_coming_is_not_told_and_that_of_others_is() -> None:
    now = datetime.now(timezone.utc)
    own = Event(1, "join", "Ann", "Ann joined the chat", now, users=("Ann",), room="lobby")
    other = Event(2, "join", "Bob", "Bob joined the chat", now, users=("Bob",), room="lobby")
    assert shown(own, other) == ["* Bob joined the chat"]


def test_what_is_remembered_is_bounded() -> None:
    now = datetime.now(timezone.utc)
    typist = Typist()
    typist.showing.begin("Ann", "lobby")
    for number in range(1, 14_401):  # Two a second for two hours.
        typist.showing.happen(said(number, "x", now))
    assert sum(len(place.recent) for place in typist.showing.places) == 50


def test_what_others_typed_does_nothing_to_the_terminal() -> None:
    now = datetime.now(timezone.utc)
    line = "\n".join(shown(said(1, "/me \x1b[2J", now, user="\x1b]0;x\x07")))
    assert line == "** \\x1b]0;x\\x07 \\x1b[2J"
