"""Who has which name: the membership table, asked of every engine."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from chatserver.errors import ClaimLost, NameTaken
from chatserver.store.interface import Store
from chatserver.store.values import Lost
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import claim, events, say, tick, told
from tests.chatserver.store.conftest import Clock


def test_a_free_name_is_held_after_a_claim_and_its_join_is_told_at_once(store: Store) -> None:
    alice = claim(store, "Alice")

    assert (alice.name, alice.last_id, alice.online, alice.users) == ("Alice", 0, 1, ("Alice",))
    (event,) = events(store)
    assert (event.type, event.user, event.text) == ("join", "Alice", "Alice joined the chat")
    assert (event.id, event.users, event.count) == (1, ("Alice",), 1)


def test_each_membership_has_a_secret_of_its_own(store: Store) -> None:
    secrets = {claim(store, name).claim.secret for name in ("Alice", "Bob")}

    assert len(secrets) == 2
    assert all(len(secret) >= 20 for secret in secrets)


def test_a_held_name_is_taken_without_its_secret(store: Store) -> None:
    claim(store, "Alice")

    with pytest.raises(NameTaken, match="Alice"):
        claim(store, "ALICE")
    with pytest.raises(NameTaken):
        claim(store, "Alice", secret="not the secret")
    with pytest.raises(NameTaken):
        claim(store, "Alice", secret="not \ud800 even text")


def test_a_refused_claim_leaves_the_holder_in_place(store: Store) -> None:
    alice = claim(store, "Alice")
    with pytest.raises(NameTaken):
        claim(store, "Alice")

    assert say(store, alice, "still here").id == 2


def test_with_the_secret_a_held_name_goes_to_the_new_holder_without_an_event(store: Store) -> None:
    old = claim(store, "Alice")

    new = claim(store, "aLICE", secret=old.claim.secret)

    assert new.name == "Alice"
    assert new.claim.secret == old.claim.secret
    assert told(store) == ["Alice joined the chat"]
    with pytest.raises(ClaimLost):
        say(store, old, "am I still Alice?")
    assert say(store, new, "I am").id == 2


def test_the_follower_learns_which_holder_has_lost_its_claim(store: Store) -> None:
    old = claim(store, "Alice")
    position = store.follow(0, 1).events[-1].id

    claim(store, "Alice", secret=old.claim.secret)

    assert store.follow(position, 1).lost == [Lost(old.claim.holder, "taken_over")]
    assert store.follow(position, 0.001).lost == []


def test_a_released_name_is_free_and_its_leave_is_told(store: Store) -> None:
    alice = claim(store, "Alice")

    outcome(store.release(alice.claim))

    assert store.names() == []
    assert told(store) == ["Alice joined the chat", "Alice left the chat"]
    assert events(store)[-1].type == "leave"


def test_leaving_voids_the_secret_and_on_a_free_name_it_means_nothing(store: Store) -> None:
    first = claim(store, "Alice")
    outcome(store.release(first.claim))

    second = claim(store, "Alice", secret=first.claim.secret)

    assert second.claim.secret != first.claim.secret


def test_a_suspended_name_is_still_listed_and_only_the_secret_takes_it(store: Store) -> None:
    alice = claim(store, "Alice")
    outcome(store.suspend(alice.claim))

    assert store.names() == ["Alice"]
    with pytest.raises(NameTaken):
        claim(store, "Alice")
    back = claim(store, "Alice", secret=alice.claim.secret)

    assert say(store, back, "back").id == 2
    assert told(store) == ["Alice joined the chat", "back"]


def test_it_is_told_for_how_long_a_name_waits(store: Store, clock: Clock) -> None:
    alice = claim(store, "Alice")
    with pytest.raises(NameTaken) as held:
        claim(store, "Alice")
    outcome(store.suspend(alice.claim))
    clock.advance(4)
    with pytest.raises(NameTaken) as waiting:
        claim(store, "Alice")

    assert "retryAfter" not in held.value.properties
    assert 0 < waiting.value.properties["retryAfter"] < 600
    assert " s yet unless its owner comes back" in str(waiting.value)


def test_a_taken_over_waiting_name_is_no_longer_waiting(store: Store, clock: Clock) -> None:
    alice = claim(store, "Alice")
    outcome(store.suspend(alice.claim))
    back = claim(store, "Alice", secret=alice.claim.secret)

    clock.advance(60)
    tick(store)

    assert say(store, back, "still here").id == 2


def test_one_leave_is_told_when_the_grace_is_over_and_not_before(
    store: Store, clock: Clock
) -> None:
    outcome(store.suspend(claim(store, "Alice").claim))

    clock.advance(14.9)
    tick(store)
    assert told(store) == ["Alice joined the chat"]

    clock.advance(0.1)
    tick(store)
    tick(store)
    assert told(store) == ["Alice joined the chat", "Alice left the chat"]
    assert store.names() == []


def test_after_the_grace_the_secret_means_nothing(store: Store, clock: Clock) -> None:
    alice = claim(store, "Alice")
    outcome(store.suspend(alice.claim))
    clock.advance(15)
    tick(store)

    assert claim(store, "Alice", secret=alice.claim.secret).claim.secret != alice.claim.secret


def test_each_name_waits_for_its_own_time(store: Store, clock: Clock) -> None:
    alice, bob = claim(store, "Alice"), claim(store, "Bob")
    outcome(store.suspend(alice.claim))
    clock.advance(5)
    outcome(store.suspend(bob.claim))

    clock.advance(10)
    tick(store)
    assert store.names() == ["Bob"]

    clock.advance(5)
    tick(store)
    assert store.names() == []


@pytest.mark.parametrize("hours", [1, -1])
def test_a_name_waits_as_long_as_ever_when_the_clock_is_set(
    store: Store, clock: Clock, hours: int
) -> None:
    alice, bob = claim(store, "Alice"), claim(store, "Bob")
    outcome(store.suspend(alice.claim))
    clock.set_back(hours * 3600)
    outcome(store.suspend(bob.claim))

    clock.advance(14)
    tick(store)
    assert store.names() == ["Alice", "Bob"]

    clock.advance(1)
    tick(store)
    assert store.names() == []


CYRILLIC_ALICE = "\u0410lice"


def test_a_name_that_looks_like_one_that_is_there_is_taken(store: Store) -> None:
    claim(store, "Alice")

    with pytest.raises(NameTaken, match="\u0410lice looks like Alice, who is here"):
        claim(store, CYRILLIC_ALICE)
    with pytest.raises(NameTaken, match="looks like Alice"):
        claim(store, CYRILLIC_ALICE.upper())

    assert store.names() == ["Alice"]
    assert told(store) == ["Alice joined the chat"]


def test_a_name_is_guarded_against_lookalikes_while_it_waits_and_no_longer(
    store: Store, clock: Clock
) -> None:
    outcome(store.suspend(claim(store, "Alice").claim))
    with pytest.raises(NameTaken):
        claim(store, CYRILLIC_ALICE)

    clock.advance(15)
    tick(store)

    other = claim(store, CYRILLIC_ALICE)
    with pytest.raises(NameTaken, match="looks like"):
        claim(store, "Alice")
    outcome(store.release(other.claim))
    assert claim(store, "Alice").name == "Alice"


def test_of_several_that_look_alike_in_one_script_each_is_guarded(store: Store) -> None:
    alice = claim(store, "Alice")
    claim(store, "A1ice")
    outcome(store.release(alice.claim))

    with pytest.raises(NameTaken, match="looks like A1ice"):
        claim(store, CYRILLIC_ALICE)


def test_a_lookalike_does_not_have_the_name_that_it_looks_like(store: Store) -> None:
    secret = claim(store, "Alice").claim.secret

    with pytest.raises(NameTaken):
        claim(store, CYRILLIC_ALICE, secret)


@pytest.mark.parametrize("what", ["append", "release", "suspend"])
def test_a_claim_that_was_given_up_changes_nothing(store: Store, what: str) -> None:
    alice = claim(store, "Alice")
    outcome(store.release(alice.claim))
    again = claim(store, "Alice")

    late: dict[str, Callable[[], Future[Any]]] = {
        "append": lambda: store.append(alice.claim, "hello"),
        "release": lambda: store.release(alice.claim),
        "suspend": lambda: store.suspend(alice.claim),
    }
    with pytest.raises(ClaimLost):
        outcome(late[what]())

    assert say(store, again, "mine").id == store.last_id


def test_names_are_listed_in_joining_order_which_a_takeover_keeps(store: Store) -> None:
    joined = {name: claim(store, name) for name in ("Bob", "alice", "Carol")}
    claim(store, "Bob", secret=joined["Bob"].claim.secret)
    outcome(store.release(joined["alice"].claim))
    claim(store, "Alice")

    assert store.names() == ["Bob", "Carol", "Alice"]


def test_a_claim_names_the_first_200_online_and_counts_all(store: Store) -> None:
    for number in range(201):
        last = claim(store, f"member {number}")

    assert last.online == 201
    assert last.users == tuple(f"member {number}" for number in range(200))


def test_counts_tell_who_is_online_and_how_much_was_said(store: Store) -> None:
    alice = claim(store, "Alice")
    claim(store, "Bob")
    say(store, alice, "one")
    say(store, alice, "two")

    assert store.counts() == (2, 2)
