"""Who is not in a private room, or in a conversation of two others, cannot tell either from what
does not exist: by no call, by no answer and by no time that an answer takes."""

import secrets
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest

from capnweb_sync import RemoteError
from tests.chatserver.conftest import LogIn
from tests.chatserver.guests import Guest

PAIRS = 150
"""Calls of each kind whose times are compared."""


def answer(promise: Any) -> tuple[str | None, str]:
    """The code and the sentence of the error that a call gets."""
    try:
        promise.result()
    except RemoteError as error:
        return error.code, str(error)
    raise AssertionError("The call was not refused.")


@pytest.fixture
def ann(log_in: LogIn, name: str) -> Guest:
    return log_in(f"{name} Ann")


@pytest.fixture
def bob(log_in: LogIn, name: str) -> Guest:
    return log_in(f"{name} Bob")


@pytest.fixture
def eve(log_in: LogIn, name: str) -> Guest:
    return log_in(f"{name} Eve")


def unknown(kind: str) -> str:
    """A name as the server gives it, which it has given to nothing."""
    return kind + secrets.token_hex(16)


def test_who_is_not_inside_is_told_what_is_told_of_rooms_that_are_not_there(
    ann: Guest, bob: Guest, eve: Guest
) -> None:
    private = ann.person.open({"title": "Ours"}).result().info.result()["name"]
    direct = ann.person.direct(bob.me["name"]).result().info.result()["name"]

    told = {
        answer(eve.person.enter(name))
        for name in (private, direct, unknown("+"), unknown("@"), "+", "@x", "+\ud800", "+" * 99)
    }

    assert {code for code, _ in told} == {"no_such_room"}
    assert len(told) == 1
    assert answer(eve.person.moderate(private)) == answer(eve.person.moderate(unknown("+")))
    seen = {room["name"] for room in eve.person.rooms({"limit": 500}).result()}
    assert not seen & {private, direct}


def test_a_guessed_id_says_nothing_of_a_message_that_is_somewhere_else(
    ann: Guest, eve: Guest, name: str
) -> None:
    here = ann.person.open({"title": "Ours"}).result()
    hidden = here.say("hidden").result()["id"]
    there = eve.enter("".join(c for c in name.lower() if c.isalnum()))
    own = there.say("own").result()["id"]
    nothing = own + 1_000_000
    calls: dict[str, Callable[[int], Any]] = {
        "edit": lambda guessed: there.edit(guessed, "mine"),
        "remove": there.remove,
        "react": lambda guessed: there.react(guessed, "👍"),
        "answer": lambda guessed: there.say("what?", {"replyTo": guessed}),
    }

    for method, call in calls.items():
        assert answer(call(hidden)) == answer(call(nothing)), method
    there.read(hidden).result()
    assert there.info.result()["unread"] == 0
    around = {"after": hidden - 1, "before": hidden + 1}
    assert there.history(around).result() == there.events(around).result() == []
    assert [m["id"] for m in there.history().result()] == [own]
    assert [m["text"] for m in here.history().result()] == ["hidden"]


def test_who_was_a_member_once_is_told_no_more_than_others(
    ann: Guest, bob: Guest, log_in: LogIn
) -> None:
    here = ann.person.open({"title": "Ours"}).result()
    hidden = here.say("hidden").result()["id"]
    there = bob.person.accept(here.createPass({"uses": 1}).result()).result()
    private = there.info.result()["name"]
    there.leave().result()

    for call in (
        *(there.history(), there.events(), there.people(), there.info, there.typing()),
        *(there.edit(hidden, "x"), there.react(hidden, "👍"), there.read(hidden)),
    ):
        assert answer(call)[0] == "not_joined"
    nothing = answer(bob.person.enter(unknown("+")))
    assert answer(bob.person.enter(private)) == nothing
    # Also as the next guest of the same name.
    mine = bob.me["name"]
    bob.person.logout().result()
    assert answer(log_in(mine).person.enter(private)) == nothing


def test_the_next_guest_of_a_name_has_nothing_of_the_conversations_before(
    ann: Guest, bob: Guest, log_in: LogIn
) -> None:
    direct = ann.person.direct(bob.me["name"]).result()
    direct.say("psst").result()
    room = direct.info.result()["name"]
    mine = bob.me["name"]
    bob.person.logout().result()

    again = log_in(mine)

    assert answer(again.person.enter(room)) == answer(again.person.enter(unknown("@")))
    anew = again.person.direct(ann.me["name"]).result()
    assert anew.info.result()["name"] != room
    assert anew.history().result() == []


def test_who_is_blocked_and_who_asks_for_nobody_are_told_the_same(
    ann: Guest, eve: Guest, name: str
) -> None:
    ann.person.block(eve.me["name"]).result()

    told = {
        answer(eve.person.direct(of))
        for of in (ann.me["name"], f"{name} Nobody", eve.me["name"], "", "x" * 33, "\ud800")
    }

    assert len(told) == 1
    assert {code for code, _ in told} == {"no_such_room"}


def test_a_pass_that_is_over_and_one_that_never_was_are_told_the_same(
    ann: Guest, eve: Guest
) -> None:
    here = ann.person.open({"title": "Ours"}).result()
    over = here.createPass().result()
    here.revokePasses().result()

    told = {answer(eve.person.accept(given)) for given in (over, "never", "", "x" * 99, "\ud800")}

    assert len(told) == 1
    assert {code for code, _ in told} == {"no_such_room"}


def test_no_time_tells_what_is_there(ann: Guest, bob: Guest, eve: Guest, name: str) -> None:
    here = ann.person.open({"title": "Ours"}).result()
    hidden = here.say("hidden").result()["id"]
    private = here.info.result()["name"]
    direct = ann.person.direct(bob.me["name"]).result().info.result()["name"]
    ann.person.block(eve.me["name"]).result()
    blocks = ann.me["name"]
    there = eve.enter("".join(c for c in name.lower() if c.isalnum()))
    nothing = hidden + 1_000_000
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "a private room": (
            lambda: eve.person.enter(private),
            lambda: eve.person.enter(unknown("+")),
        ),
        "a conversation": (
            lambda: eve.person.enter(direct),
            lambda: eve.person.enter(unknown("@")),
        ),
        "a person": (
            lambda: eve.person.direct(blocks),
            lambda: eve.person.direct(f"{name} Nob"),
        ),
        "a message": (lambda: there.edit(hidden, "x"), lambda: there.edit(nothing, "x")),
    }

    for what, (real, unreal) in pairs.items():
        assert 0.3 < how_often_later(real, unreal) < 0.7, what


def how_often_later(one: Callable[[], Any], other: Callable[[], Any]) -> float:
    """In what part of all comparisons the answer to `one` takes longer than that to `other`: a half
    if nothing tells them apart, hardly ever outside of 0.4 to 0.6 then."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(PAIRS):
        for call, taken in zip((one, other), times, strict=True):
            began = perf_counter()
            answer(call())
            taken.append(perf_counter() - began)
    later = sum(mine > theirs for mine in times[0] for theirs in times[1])
    return later / PAIRS**2
