"""Long work in short pieces: one queue for everybody, served a few milliseconds a turn of the loop.

A loop that serves many must not be held by one. What may take long is a generator that yields after
each piece: messages that are large or many, maps, the ends of sessions, batches. All of them stand
in one queue, which is served round robin for `TURN_SECONDS`; then whatever else the loop has to do
comes first. What a single piece took beyond that is waited for before the next turn, so that the
queue never has more than about half of the loop.

What gives memory back stands in a queue beside it, and has every other piece: otherwise what many
connections bring would go before what they have left.

A turn is a timer and no callback of the loop: gevent runs callbacks that were added by callbacks
before it looks for what has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from time import perf_counter
from typing import Any, Final
from weakref import WeakKeyDictionary

import gevent
from gevent.hub import Waiter, get_hub

from ..deferred import Deferred
from ..errors import logger
from .fork import in_child

TURN_SECONDS: Final = 0.005
"""How long one turn lasts, and the end of the piece that is under way then: a message crosses the
loop about five times until others see it, so this is 25 ms for a bystander."""

Pieces = Iterator[object]
"""Work that is cut at each of its `yield`s. It does not raise."""


class Turns:
    """The queue of one loop, on whose thread everything here happens."""

    __slots__ = ("__weakref__", "_freeing", "_loop", "_timer", "_waiting")

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Pieces, Deferred[None]]] = deque()
        self._freeing: deque[tuple[Pieces, Deferred[None]]] = deque()
        self._timer: Any = None
        in_child(self, Turns._leave_to_parent)

    def __len__(self) -> int:
        """How much is waiting for its next turn."""
        return len(self._waiting) + len(self._freeing)

    def add(self, pieces: Pieces, *, frees: bool = False) -> Deferred[None]:
        """Begin `pieces` soon, never inside this call; what is settled when they are done. `frees`:
        they give memory back."""
        done: Deferred[None] = Deferred()
        queue = self._freeing if frees else self._waiting
        queue.append((pieces, done))
        self._serve_in(0.0)
        return done

    def _leave_to_parent(self) -> None:
        """In a forked child: all of it is the parent's. More may be added here."""
        self._waiting.clear()
        self._freeing.clear()
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        in_child(self, Turns._leave_to_parent)

    def _serve_in(self, seconds: float) -> None:
        if self._timer is None and len(self):
            self._timer = self._loop.timer(seconds)
            self._timer.start(self._serve)

    def _serve(self) -> None:
        self._timer.close()
        self._timer = None
        began = perf_counter()
        took = 0.0
        try:
            while len(self) and took < TURN_SECONDS:
                for queue in (self._freeing, self._waiting):
                    if queue:
                        serve_next(queue)
                took = perf_counter() - began
        finally:
            self._serve_in(max(0.0, took - TURN_SECONDS))


def wait_turn() -> None:
    """Block the calling greenlet until its turn; what it does until it blocks again is a piece."""
    waiter: Waiter[None] = Waiter()

    def go_on() -> Iterator[None]:
        waiter.switch(None)
        yield

    turns().add(go_on())
    waiter.get()


def serve_next(queue: deque[tuple[Pieces, Deferred[None]]]) -> None:
    """Do one piece of what has waited longest."""
    pieces, done = queue.popleft()
    try:
        next(pieces)
    except StopIteration:
        done.resolve(None)
    except Exception as error:
        # A handler of the log may block, and the hub must not.
        gevent.spawn_raw(logger.error, "Work in turns has failed", exc_info=error)
        done.resolve(None)
    else:
        queue.append((pieces, done))


_turns: WeakKeyDictionary[Any, Turns] = WeakKeyDictionary()


def turns() -> Turns:
    """Those of this thread's loop."""
    hub = get_hub()
    found = _turns.get(hub)
    if found is None:
        found = _turns[hub] = Turns(hub.loop)
    return found
