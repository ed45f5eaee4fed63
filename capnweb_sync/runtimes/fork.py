"""What a child of `fork` does first: it lets go of everything that it has from its parent.

A child has a copy of all objects of its parent, with descriptors of the same sockets, and none of
its threads. What it would do with them, its end included, would reach the parent's peers, and a
lock that another thread held stays locked. So whatever holds a connection, a lock or a thread says
with `in_child` how a child lets go of it. One hook does that, before anything else runs there:
it closes the child's copies without a word, and leaves behind what says clearly that it is the
parent's. That costs nothing as long as nobody forks.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary

from ..errors import logger

T = TypeVar("T")

START_SECONDS: Final = 1.0
"""How long a fork waits for threads that are about to begin, which takes microseconds."""

START_LOOK_SECONDS: Final = 0.0005

_being_started: set[object] = set()

_owners: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def in_child(owner: T, let_go: Callable[[T], None]) -> None:
    """Have a forked child call `let_go(owner)`, if `owner` is still there by then.

    `let_go` does not refer to the owner, takes no lock that the parent may hold, waits for nothing
    and runs no code of the application.
    """
    _owners[owner] = let_go


class Socket(Protocol):
    """A socket of any library."""

    def detach(self) -> int: ...


@contextmanager
def being_started(thread: object) -> Iterator[None]:
    """Around the start of a thread: nobody forks in the middle of it.

    Under gevent a child has its parent's threads, which are greenlets; one that was only about to
    begin would find there that `threading` has forgotten it, and say so in a traceback.
    """
    _being_started.add(thread)
    try:
        yield
    finally:
        _being_started.discard(thread)


def _wait_for_starts() -> None:
    deadline = time.monotonic() + START_SECONDS
    while _being_started and time.monotonic() < deadline:
        time.sleep(START_LOOK_SECONDS)


def close_copy(sock: Socket) -> None:
    """Close the child's copy of a socket, and nothing else: no farewell of TLS, no shutdown."""
    descriptor = sock.detach()
    if descriptor >= 0:
        os.close(descriptor)


def cut_off(sock: Any) -> None:
    """Put a connection that has ended in the place of the child's copy of a socket. For sockets
    that greenlets may be about to use: they find an end, not the number of another file."""
    dead, other = socket.socketpair()
    other.close()
    os.dup2(dead.fileno(), sock.fileno(), inheritable=False)
    dead.close()


def _let_go_of_all() -> None:
    owners = list(_owners.items())
    _owners.clear()
    _being_started.clear()
    # The last first: what uses another stops before that one is taken from it.
    for owner, let_go in reversed(owners):
        try:
            let_go(owner)
        except Exception:  # noqa: PERF203 - the others are to be let go of all the same
            logger.exception("A forked child could not let go of %r", owner)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_wait_for_starts, after_in_child=_let_go_of_all)
