"""TCP to a host that may have several addresses: to whichever answers first, as RFC 8305 wants.

A name often has an IPv6 address that leads nowhere from here, and nothing tells so but silence.
Whoever waits for it until the end never gets to the address that works.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, Final

ATTEMPT_SECONDS: Final = 0.25
"""Silence after which the next address is tried beside the one before (section 5)."""

Address = tuple[int, Any]
"""A family, and a socket's address in it."""


def dial(host: str, port: int, deadline: float) -> socket.socket:
    """A connection to the first of the host's addresses that answers.

    Args:
        host: a name or an address.
        port: TCP's.
        deadline: by `time.monotonic`.

    Raises:
        TimeoutError: none has answered in time.
        OSError: none can be had; the reason is the last one's. `socket.gaierror`: no such name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return race(alternating([(int(family), address) for family, *_, address in found]), deadline)


def alternating(addresses: Sequence[Address]) -> list[Address]:
    """The addresses in their order, but with the families by turns (RFC 8305, section 4): the many
    of a family that is dead are not all tried before the first of the other."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in turns if address is not None]


def race(addresses: Sequence[Address], deadline: float) -> socket.socket:
    """Try each address when the one before has been silent for a moment, or has failed. The first
    connection wins, the others are closed. Raises as `dial` does."""
    untried = deque(addresses)
    attempts: set[socket.socket] = set()
    failure = OSError("it has no address")
    next_attempt = time.monotonic()
    with selectors.DefaultSelector() as selector:
        try:
            while untried or attempts:
                now = time.monotonic()
                if now >= deadline:
                    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
                if untried and now >= next_attempt:
                    next_attempt = now + ATTEMPT_SECONDS
                    try:
                        sock = _begin(untried.popleft())
                    except OSError as error:
                        failure, next_attempt = error, now
                        continue
                    attempts.add(sock)
                    selector.register(sock, selectors.EVENT_WRITE, sock)
                wake = min(next_attempt, deadline) if untried else deadline
                for key, _ in selector.select(max(0.0, wake - time.monotonic())):
                    attempt: socket.socket = key.data
                    reason = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    selector.unregister(attempt)
                    attempts.remove(attempt)
                    if not reason:
                        return attempt
                    attempt.close()
                    failure, next_attempt = OSError(reason, os.strerror(reason)), now
            raise failure
        finally:
            for sock in attempts:
                sock.close()


def _begin(address: Address) -> socket.socket:
    """A socket that is connecting to `address`. Raises OSError."""
    family, name = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        reason = sock.connect_ex(name)
        if reason not in (0, errno.EINPROGRESS):
            raise OSError(reason, os.strerror(reason))
    except BaseException:
        sock.close()
        raise
    return sock
