"""What muted people can do, asked of every engine: `people_interface` has the sentences."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from chatserver.errors import (
    BadRequest,
    Forbidden,
    NotJoined,
)
from chatserver.store.interface import Store
from chatserver.store.seats import LOBBY, Sanction, Seat
from chatserver.store.values import Joined
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import (
    Ear,
    assert_refused,
    claim,
    come,
    enter,
    private,
    say,
    say_in,
    tick,
)
from tests.chatserver.store.conftest import Clock


def everything_that_others_hear_of(
    store: Store, who: Joined, seat: Seat, message: int
) -> list[Callable[[], "Future[Any]"]]:
    claimed = who.claim
    return [
        lambda: store.say(claimed, seat, "hello", None, 0),
        lambda: store.edit(claimed, seat, message, "other"),
        lambda: store.react(claimed, seat, message, "x", True),
        lambda: store.typing(claimed, seat),
    ]


def test_muted_people_read_and_leave_and_take_back_and_nothing_else(
    store: Store, mod: Joined
) -> None:
    ann = come(store, "Ann")
    tea, mods = enter(store, ann, "tea"), enter(store, mod, "tea")
    said = say_in(store, ann, tea, "hello", "key")
    heard = say_in(store, mod, mods, "calm down")

    number = outcome(store.mute(mod.claim, "tea", "moderator", "ann", 600, "shouting"))

    for asked in everything_that_others_hear_of(store, ann, tea, said.id):
        with pytest.raises(Forbidden, match="You are muted here for 10 minutes yet: shouting"):
            outcome(asked())
    assert say_in(store, ann, tea, "hello", "key") == said
    assert store.read_room(ann.claim.by, tea, limit=9)[-1].type == "notice"
    outcome(store.mark_read(ann.claim, tea, heard.id))
    outcome(store.remove(ann.claim, tea, said.id))
    say(store, ann, "elsewhere")
    outcome(store.leave_room(ann.claim, tea))
    again = enter(store, ann, "tea")
    with pytest.raises(Forbidden):
        say_in(store, ann, again, "again")
    outcome(store.lift(mod.claim, "tea", "moderator", number))
    say_in(store, ann, again, "sorry")


def test_a_muted_owner_and_a_muted_moderator_do_nothing_with_the_room(
    store: Store, boss: Joined
) -> None:
    ann, mod = come(store, "Ann"), come(store, "Mod", "moderator")
    mine = private(store, ann)[0]
    tea = enter(store, mod, "tea")
    outcome(store.mute(boss.claim, "+private", "admin", "ann", None, ""))
    outcome(store.mute(boss.claim, "tea", "admin", "mod", None, ""))

    assert_refused(
        Forbidden,
        store.set_topic(ann.claim, mine, "topic"),
        store.create_pass(ann.claim, mine, "other", 7, None),
        store.revoke_passes(ann.claim, mine),
        store.hand_on(ann.claim, mine, "ann"),
        store.close_room(ann.claim, mine),
        store.set_topic(mod.claim, tea, "topic", "moderator"),
        match="muted here for good",
    )


def test_first_the_seat_is_checked_then_the_key_then_the_mute(store: Store, mod: Joined) -> None:
    ann = come(store, "Ann")
    tea = enter(store, ann, "tea")
    say_in(store, ann, tea, "hello", "key")
    outcome(store.mute(mod.claim, "tea", "moderator", "ann", 60, ""))

    with pytest.raises(NotJoined):
        say_in(store, ann, tea._replace(number=tea.number + 1), "hello")
    with pytest.raises(BadRequest):
        say_in(store, ann, tea, "other", "key")
    with pytest.raises(Forbidden):
        say_in(store, ann, tea, "other", "another key")


def test_somebody_can_be_muted_who_is_not_in_the_room(store: Store, mod: Joined) -> None:
    ann, bob = come(store, "Ann"), claim(store, "Bob")
    seat = enter(store, bob, "tea")

    outcome(store.mute(mod.claim, "tea", "moderator", "ann", 60, ""))

    with pytest.raises(Forbidden):
        say_in(store, ann, enter(store, ann, "tea"), "hello")
    say_in(store, bob, seat, "hello")


def test_a_mute_of_the_lobby_holds_for_join_too(store: Store, mod: Joined) -> None:
    ann = claim(store, "Ann")
    said = say(store, ann, "hello", "key")
    outcome(store.mute(mod.claim, LOBBY, "moderator", "ann", 60, ""))

    with pytest.raises(Forbidden):
        say(store, ann, "hello")
    assert say(store, ann, "hello", "key") == said


def test_a_mute_is_over_when_its_time_is(store: Store, mod: Joined, clock: Clock) -> None:
    ann = come(store, "Ann")
    outcome(store.mute(mod.claim, LOBBY, "moderator", "ann", 60, ""))
    clock.advance(59)
    tick(store)
    with pytest.raises(Forbidden, match="1 second yet"):
        say(store, ann, "hello")

    clock.advance(1)
    say(store, ann, "hello")

    assert outcome(store.sanctions(mod.claim, LOBBY, "moderator")) == []
    tick(store)
    assert store.statistics()["sanctions"] == 0


def test_another_sanction_of_the_same_kind_takes_the_place_of_the_one_before(
    store: Store, mod: Joined, clock: Clock
) -> None:
    ann = come(store, "Ann")
    come(store, "Bob")
    first = outcome(store.mute(mod.claim, LOBBY, "moderator", "ann", None, "much"))
    outcome(store.mute(mod.claim, LOBBY, "moderator", "bob", None, ""))
    outcome(store.ban(mod.claim, LOBBY, "moderator", "ann", None, ""))

    second = outcome(store.mute(mod.claim, LOBBY, "moderator", "ann", 60, "less"))

    found = outcome(store.sanctions(mod.claim, LOBBY, "moderator"))
    assert [(one.kind, one.name) for one in found] == [
        ("mute", "Bob"),
        ("ban", "Ann"),
        ("mute", "Ann"),
    ]
    now, by = clock.now, ann.claim.by
    until = now + 60_000
    last = Sanction(second, "mute", LOBBY, by, "", "Ann", "Mod", "less", now, until, 1)
    assert found[-1] == last
    assert first < found[0].number < found[1].number < second


def test_a_mute_is_told_and_lifting_it_too(store: Store, mod: Joined) -> None:
    come(store, "Ann")
    ear = Ear(store)

    number = outcome(store.mute(mod.claim, LOBBY, "moderator", "ann", 600, "shouting"))
    outcome(store.lift(mod.claim, LOBBY, "moderator", number))

    assert ear.told() == ["Mod muted Ann for 10 minutes: shouting", "Mod lifted the mute of Ann"]
    assert {(event.type, event.user, event.by) for event in ear.events} == {
        ("notice", "Mod", mod.claim.by)
    }


# --- guests


def test_a_guest_is_muted_by_its_stay_and_by_its_address(store: Store, mod: Joined) -> None:
    bob = claim(store, "Bob", address="digest")
    outcome(store.mute(mod.claim, LOBBY, "moderator", "bob", 60, ""))
    with pytest.raises(Forbidden):
        say(store, bob, "hello")
    outcome(store.release(bob.claim))

    with pytest.raises(Forbidden):
        say(store, claim(store, "Other", address="digest"), "hello")
    say(store, claim(store, "Bob", address="another"), "hello")
    say(store, claim(store, "Cid"), "hello")
    say(store, come(store, "Ann"), "hello")
    assert outcome(store.sanctions(mod.claim, LOBBY, "moderator"))[0].address == "digest"


def test_a_guest_without_an_address_is_muted_by_its_stay_alone(store: Store, mod: Joined) -> None:
    bob = claim(store, "Bob")
    outcome(store.mute(mod.claim, LOBBY, "moderator", "bob", 60, ""))
    moved = claim(store, "Bob", bob.claim.secret, address="elsewhere")
    with pytest.raises(Forbidden):
        say(store, moved, "hello")
    outcome(store.release(moved.claim))

    say(store, claim(store, "Bob"), "hello")


def test_guests_of_one_address_are_each_sanctioned_for_themselves(
    store: Store, mod: Joined
) -> None:
    bob, cid = (claim(store, name, address="digest") for name in ("Bob", "Cid"))
    first = outcome(store.mute(mod.claim, LOBBY, "moderator", "bob", 60, ""))
    outcome(store.mute(mod.claim, LOBBY, "moderator", "cid", 60, ""))

    outcome(store.lift(mod.claim, LOBBY, "moderator", first))

    for guest in (bob, cid):
        with pytest.raises(Forbidden):
            say(store, guest, "hello")
