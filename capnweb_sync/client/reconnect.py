"""When and whether to come back after a connection was lost: for whoever keeps one.

`reconnecting.py` keeps a session with it; a program that has more to do than to call `setup`, such
as to take up where it was, builds on the same parts.

When (`Backoff`): a uniformly random time up to a longest one, which doubles with each attempt, so
that those who were sent away together do not come back together (full jitter):

    | what was lost                      | longest time before the attempts, in seconds          |
    |------------------------------------|-------------------------------------------------------|
    | a connection that lasted           | 1, 2, 4, 8, 10, 10, …                                 |
    | one that did not last 10 s         | goes on where the series was, at 4 at most            |
    | closed with 1001 or 1012           | begins at 4: everybody was sent away at once          |
    | the server asked for patience      | that long, and the time above in addition, once       |
"""

from __future__ import annotations

import random
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ..errors import RemoteError, SessionClosed
from .opening import ConnectError

T = TypeVar("T")

JITTER: Final = random.Random()
"""Spreads attempts; one of its own, for a program that seeds its randomness must not have all of
its clients come back at the same moments."""

FIRST_DELAY: Final = 1.0
"""Seconds within which the first attempt is made. Short enough for a few while a server keeps the
place of who was cut off (the chat's does so for 15 s), so that nobody notices."""

MAX_DELAY: Final = 10.0
"""Seconds between two attempts at most: after a restart of the server nobody is away for longer."""

STABLE_SECONDS: Final = 10.0
"""How long a connection must have lasted for the next loss to count as a new one."""

SHAKY_ATTEMPT: Final = 2
"""Where a series begins when a connection did not last: the first attempt within 4 s. A server that
accepts and drops at once is not called every second, and a bad network not given up on."""

CROWD_CODES: Final = frozenset({1001, 1012})
"""Close codes of a server that goes away or starts again: everybody is sent away at once, and
should not come back at once."""

CROWD_ATTEMPT: Final = 2
"""Where such a series of attempts begins: the first within 4 s."""

POLICY_VIOLATED: Final = 1008
"""The close code that means: stay away (RFC 6455, section 7.4.1)."""

FINAL_ERRORS: Final = frozenset({"unauthorized", "forbidden"})
"""Codes of answers to a setup that will not change by asking again."""

PASSING_STATUSES: Final = frozenset({408, 425, 429})
"""HTTP statuses below 500 that may pass: timeout, too early, too many requests."""


@dataclass(frozen=True)
class Status:
    """The connection was lost, or is there again, or the server asks for patience; `str(status)` is
    a line for a person.

    Attributes:
        online: whether there is a connection.
        retry_in: in how many seconds the next attempt is made: to connect, or while online, to do
            what the server has refused as too much at once. None when nothing is waited for.
        error: why there is no connection, or the last attempt has failed; None where that is not
            known.
    """

    online: bool
    retry_in: float | None = None
    error: BaseException | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.retry_in is None:
            return "Back online" if self.online else "Connection lost for good"
        what = "Too fast for the server" if self.online else "Connection lost"
        # Rounded up: nobody is told to wait for 0 s.
        return f"{what}; trying again in {int(self.retry_in) + 1} s …"


class Backoff:
    """How long to wait before each attempt: exponential, with full jitter and a cap."""

    def __init__(self) -> None:
        self._attempt = 0
        self._least = 0.0

    def connection_lost(self, close_code: int | None, lasted: float) -> None:
        """A connection that `lasted` so many seconds is lost."""
        self._attempt = 0 if lasted >= STABLE_SECONDS else min(self._attempt, SHAKY_ATTEMPT)
        if close_code in CROWD_CODES:
            self._attempt = max(self._attempt, CROWD_ATTEMPT)

    def next_delay(self) -> float:
        """Seconds until the next attempt."""
        longest = min(FIRST_DELAY * 2**self._attempt, MAX_DELAY)
        if longest < MAX_DELAY:
            self._attempt += 1
        least, self._least = self._least, 0.0
        return least + JITTER.uniform(0, longest)

    def asked_to_wait(self, seconds: float) -> None:
        """The server has asked for so much patience before the next attempt."""
        self._least = seconds


def may_pass(error: BaseException) -> bool:
    """Whether an attempt to connect that failed with `error` is worth another: a server that says
    no with a status of its own is not asked again, unless that status says so."""
    if isinstance(error, SessionClosed):
        return error.close_code != POLICY_VIOLATED
    if isinstance(error, RemoteError):
        return error.code not in FINAL_ERRORS
    status = getattr(error, "status", None) if isinstance(error, ConnectError) else None
    return status is None or status >= 500 or status in PASSING_STATUSES


def keep_trying(
    owner: weakref.ref[T],
    changed: threading.Condition,
    *,
    over: Callable[[T], bool],
    announce: Callable[[T], float],
    attempt: Callable[[T], bool],
) -> None:
    """Try until an attempt is the last one, or nobody is there any more who wants a connection.

    Args:
        owner: who wants one; dropped, it is not kept by this.
        changed: notified when `over` may have changed.
        over: whether the owner wants none any more.
        announce: told before each attempt; the seconds until it is made.
        attempt: made then; whether another one is worth making.
    """

    def gone() -> bool:
        one = owner()
        return one is None or over(one)

    while (one := owner()) is not None:
        delay = announce(one)
        del one  # it may be dropped while this waits
        with changed:
            changed.wait_for(gone, delay)
        one = owner()
        if one is None or over(one) or not attempt(one):
            return
