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
    enter = open_room = direct = accept = leave_room = block = _refuse
    say = edit = remove = react = mark_read = _refuse
    set_topic = create_pass = revoke_passes = hand_on = close_room = typing = _refuse
    renew = may_moderate = strike = mute = kick = ban = lift = sanctions = _refuse
    ban_address = disconnect = revoke = announce = close_any = erase = _refuse
    everyone = places = all_rooms = statistics = _refuse
    read = read_room = read_span = read_rooms = people = room = rooms = _refuse
    blocked = follow = _refuse

    def close(self) -> None:
        """Nothing is held any more."""


def inherit(store: Store) -> None:
    """In a forked child: nothing can be done with `store` any more."""
    vars(store).pop("available", None)
    store.__class__ = InheritedStore
