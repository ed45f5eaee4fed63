"""Short ways to say what the tests of the stores say again and again."""

from concurrent.futures import Future
from itertools import count
from typing import Any

import pytest

from chatserver.errors import ChatError
from chatserver.people.names import check_name
from chatserver.people.token_terms import Role
from chatserver.store.events import Event
from chatserver.store.interface import Store
from chatserver.store.seats import Aside, Sanction, Seat
from chatserver.store.values import Account, Joined, Lost, Receipt
from tests.chatserver.greenlets import eventually, outcome

_holders = count(1)


def claim(
    store: Store,
    name: str,
    secret: str | None = None,
    *,
    account: Account | None = None,
    address: str = "",
    lobby: bool = True,
) -> Joined:
    """Claim `name` for a holder that was never there before."""
    key, holder = check_name(name).key, f"worker.{next(_holders)}"
    return outcome(store.claim(key, name, holder, secret, lobby, account=account, address=address))


def come(
    store: Store,
    name: str,
    role: Role = "member",
    *,
    secret: str | None = None,
    lobby: bool = True,
    subject: str | None = None,
) -> Joined:
    """A place of the account that has this name for its subject."""
    account = Account(name if subject is None else subject, role)
    return claim(store, name, secret, account=account, lobby=lobby)


def say(store: Store, joined: Joined, text: str, key: str | None = None) -> Receipt:
    """Append what the member says."""
    return outcome(store.append(joined.claim, text, key))


def enter(store: Store, joined: Joined, room: str) -> Seat:
    """The seat in a public room."""
    return outcome(store.enter(joined.claim, room))


def say_in(store: Store, joined: Joined, seat: Seat, text: str, key: str | None = None) -> Receipt:
    """Say it in this room."""
    return outcome(store.say(joined.claim, seat, text, key, 0))


def tick(store: Store) -> float:
    """Let time take effect."""
    return outcome(store.tick())


def events(store: Store) -> list[Event]:
    """The log from its start, as far as one read goes."""
    return store.read()


def told(store: Store) -> list[str]:
    """The texts of the log."""
    return [event.text for event in events(store)]


def private(store: Store, owner: Joined, *others: Joined) -> list[Seat]:
    """Their seats in a private room."""
    seat = outcome(store.open_room(owner.claim, "+private", "Private", "", False))
    outcome(store.create_pass(owner.claim, seat, "digest", 7, None))
    return [seat, *(outcome(store.accept(other.claim, "digest")) for other in others)]


def in_force(store: Store, admin: Joined, room: str) -> list[Sanction]:
    """The room's sanctions."""
    return outcome(store.sanctions(admin.claim, room, "admin"))


def assert_refused(error: type[ChatError], *asked: "Future[Any]", match: str | None = None) -> None:
    """All of it is refused so."""
    for future in asked:
        with pytest.raises(error, match=match):
            outcome(future)


class Ear:
    """Follows a store from now on.

    Attributes:
        events: that it was told of since the last `forget`; `lost` and `asides` likewise.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last_id = 0
        self.forget()

    def forget(self) -> None:
        """Let what has happened by now be forgotten."""
        self.events: list[Event] = []
        self.lost: list[Lost] = []
        self.asides: list[Aside] = []
        self._listen()
        self.events, self.lost, self.asides = [], [], []

    def tune_in(self, joined: Joined) -> None:
        """Hear what is told beside the log, too, which whoever does not listen yet misses."""
        lobby = joined.seats[0]

        def is_heard() -> bool:
            outcome(self._store.typing(joined.claim, lobby))
            self._listen()
            return bool(self.asides)

        eventually(is_heard)
        self.until_typing(joined, lobby)
        self.forget()

    def until_typing(self, joined: Joined, seat: Seat) -> list[Aside]:
        """The asides but those of the type `typing` that were told before one which somebody causes
        now by typing in this room."""
        self.asides = []
        outcome(self._store.typing(joined.claim, seat))
        last = Aside(seat.room, "typing", joined.name, joined.claim.by)

        def is_heard() -> bool:
            self._listen()
            return last in self.asides

        eventually(is_heard)
        return [aside for aside in self.asides if aside.type != "typing"]

    def told(self) -> list[str]:
        """The texts of the events since the last `forget`, but those of no text."""
        self._listen()
        return [event.text for event in self.events if event.text]

    def losses(self) -> list[Lost]:
        """Who lost a claim since then."""
        self._listen()
        return self.lost

    def _listen(self) -> None:
        while True:
            tail = self._store.follow(self._last_id, 0.001)
            if tail.events:
                self._last_id = tail.events[-1].id
            self.events += tail.events
            self.lost += tail.lost
            self.asides += tail.asides
            if not (tail.events or tail.lost or tail.asides):
                return
