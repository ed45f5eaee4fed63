"""Short ways to say what the tests of the stores say again and again."""

from itertools import count

from chatserver.people.names import check_name
from chatserver.store.events import Event
from chatserver.store.interface import Store
from chatserver.store.values import Joined, Receipt
from tests.chatserver.greenlets import outcome

_holders = count(1)


def claim(store: Store, name: str, secret: str | None = None) -> Joined:
    """Claim `name` for a holder that was never there before."""
    return outcome(store.claim(check_name(name).key, name, f"worker.{next(_holders)}", secret))


def say(store: Store, joined: Joined, text: str, key: str | None = None) -> Receipt:
    """Append what the member says."""
    return outcome(store.append(joined.claim, text, key))


def tick(store: Store) -> float:
    """Let time take effect."""
    return outcome(store.tick())


def events(store: Store) -> list[Event]:
    """The log from its start, as far as one read goes."""
    return store.read()


def told(store: Store) -> list[str]:
    """The texts of the log."""
    return [event.text for event in events(store)]
