"""What people can do to each other in rooms, whichever engine keeps them."""

import pytest

from chatserver.errors import NoSuchRoom
from chatserver.store.interface import Store
from chatserver.store.seats import GUEST
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import claim, come


def test_strangers_cannot_take_all_seats_of_somebody(store: Store) -> None:
    alice = claim(store, "Alice").claim
    for number in range(GUEST.direct):
        outcome(store.direct(claim(store, f"Stranger {number}").claim, "alice", f"@{number}"))
    late = claim(store, "Late").claim

    with pytest.raises(NoSuchRoom):
        outcome(store.direct(late, "alice", "@late"))

    outcome(store.direct(alice, "late", "@asked"))
    for number in range(GUEST.made):
        outcome(store.enter(alice, f"room{number}"))


def test_whom_one_blocks_is_listed_by_names_as_they_are_now(store: Store) -> None:
    ann, bob = claim(store, "Ann"), claim(store, "Bob")
    come(store, "Dan")
    for key in ("dan", "bob", "cid", "ann", "éva"):
        outcome(store.block(ann.claim, key, True))
    outcome(store.block(bob.claim, "dan", True))
    outcome(store.block(ann.claim, "ann", False))

    assert store.blocked(ann.claim.by, None, 9) == ["Bob", "cid", "Dan", "éva"]
    assert store.blocked(ann.claim.by, "bob", 2) == ["cid", "Dan"]
    outcome(store.release(bob.claim))
    assert store.blocked(ann.claim.by, None, 1) == ["bob"]
    assert store.blocked(bob.claim.by, None, 9) == []
