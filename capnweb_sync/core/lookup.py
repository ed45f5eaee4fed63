"""Results that need not be made when nobody waits for them."""

from __future__ import annotations

import concurrent.futures
from typing import TypeVar

T = TypeVar("T")


class Lookup(concurrent.futures.Future[T]):
    """A `Future` for a look at something, which changes nothing.

    A call that a peer has made runs, even if its result is given up at once: it may have an effect.
    A method that returns a `Lookup` says that it has none. When the peer gives the result up before
    it is there, and uses it for nothing else, the `Lookup` is cancelled; whoever is to complete it
    asks `set_running_or_notify_cancel()` before beginning.
    """
