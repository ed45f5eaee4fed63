"""What guests can do to each other in rooms, whichever engine keeps them."""

import pytest

from chatserver.errors import NoSuchRoom
from chatserver.store.interface import Store
from chatserver.store.seats import GUEST
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import claim


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
