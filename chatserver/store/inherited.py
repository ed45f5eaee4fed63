"""What a store is in a forked child: the parent's.

Two processes that write as one would tear the log apart, and engines hold sockets, files and locks
of which a child has copies. So a child lets go of them without a word, and whoever asks such a
store for anything is told so at once. A child that wants a store opens its own.
"""

from typing import Any, NoReturn

from chatserver.errors import Unavailable
from chatserver.store.interface import Store


class InheritedStore(Store):
    """A store of the process that forked this one. Everything raises Unavailable."""

    available = False

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise Unavailable("The store belongs to the process that forked this one.")

    claim = release = suspend = append = names = counts = tick = _refuse
    read = read_span = follow = _refuse

    def close(self) -> None:
        """Nothing is held any more."""


def inherit(store: Store) -> None:
    """In a forked child: nothing can be done with `store` any more."""
    vars(store).pop("available", None)
    store.__class__ = InheritedStore
