"""When and whether to come back after a connection was lost.

Whether (`stays_away`, `comes_back`):

    | what the connection ended with, or | come   | because                                      |
    | the attempt to come back           | back?  |                                              |
    |------------------------------------|--------|----------------------------------------------|
    | close code 4001                    | no     | the same person is there on another          |
    |                                    |        | connection: both would take turns for ever   |
    | close code 1008                    | no     | a policy was violated, and would be again    |
    | any other code, or none            | yes    | networks and servers come back               |
    | no connection, no answer in time   | yes    | likewise                                     |
    | HTTP status 500 and above, 408,    | yes    | the server is busy, or not there yet         |
    | 425, 429                           |        |                                              |
    | any other HTTP status              | no     | this address, or this origin, is not let in  |
    | an answer that is none (BadAnswer) | no     | it is another kind of server                 |
    | `FINAL_ERRORS` as answer to join   | no     | asking again does not change the answer      |
    | any other error                    | yes    | `unavailable`, `rate_limited` pass           |

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
from dataclasses import dataclass
from typing import Final

from capnweb_sync import ConnectError, RemoteError, SessionClosed
from capnweb_sync.close_codes import TAKEN_OVER, CloseCode

from .errors import BadAnswer

FIRST_DELAY: Final = 1.0
"""Seconds within which the first attempt is made. Short enough for a few within the server's grace
(15 s), so that nobody notices."""

MAX_DELAY: Final = 10.0
"""Seconds between two attempts at most: below the grace, so that after a restart, which gives
everybody the whole grace again, nobody is too late."""

STABLE_SECONDS: Final = 10.0
"""How long a connection must have lasted for the next loss to count as a new one."""

SHAKY_ATTEMPT: Final = 2
"""Where a series begins when a connection did not last: the first attempt within 4 s. A server that
accepts and drops at once is not called every second, and a bad network not given up on."""

CROWD_CODES: Final = frozenset({CloseCode.GOING_AWAY, CloseCode.SERVICE_RESTART})
"""Close codes of a server that goes away or starts again: everybody is sent away at once, and
should not come back at once."""

CROWD_ATTEMPT: Final = 2
"""Where such a series of attempts begins: the first within 4 s."""

FINAL_CODES: Final = frozenset({TAKEN_OVER, CloseCode.POLICY_VIOLATION})
"""Close codes that mean: stay away."""

FINAL_ERRORS: Final = frozenset(
    {"bad_request", "username_taken", "too_large", "too_many", "unauthorized"}
)
"""Answers to a join that will not change by asking again."""

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
    """

    online: bool
    retry_in: float | None = None

    def __str__(self) -> str:
        if self.retry_in is None:
            return "Back online"
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
        return least + random.uniform(0, longest)

    def asked_to_wait(self, seconds: float) -> None:
        """The server has asked for so much patience before the next attempt."""
        self._least = seconds


def stays_away(error: SessionClosed) -> bool:
    """Whether a connection was closed with a code that means so."""
    return error.close_code in FINAL_CODES


def comes_back(error: Exception) -> bool:
    """Whether an attempt that failed with `error` is worth another."""
    if isinstance(error, BadAnswer):
        return False
    if isinstance(error, RemoteError):
        return error.code not in FINAL_ERRORS
    if isinstance(error, SessionClosed):
        return not stays_away(error)
    status = getattr(error, "status", None) if isinstance(error, ConnectError) else None
    return status is None or status >= 500 or status in PASSING_STATUSES
