"""When and whether to come back after a connection was lost.

Whether (`stays_away`, `comes_back`):

    | what the connection ended with, or | come   | because                                      |
    | the attempt to come back           | back?  |                                              |
    |------------------------------------|--------|----------------------------------------------|
    | close code 4001                    | no     | the same person is there on another          |
    |                                    |        | connection: both would take turns for ever   |
    | close code 4002                    | no     | the name belongs to an account               |
    | close code 4003                    | no     | the token is over, or was revoked            |
    | close code 4004                    | no     | an admin has disconnected or banned us       |
    | close code 1008                    | no     | a policy was violated, and would be again    |
    | any other code, or none            | yes    | networks and servers come back               |
    | no connection, no answer in time   | yes    | likewise                                     |
    | HTTP status 500 and above, 408,    | yes    | the server is busy, or not there yet         |
    | 425, 429                           |        |                                              |
    | any other HTTP status              | no     | this address, or this origin, is not let in  |
    | an answer that is none (BadAnswer) | no     | it is another kind of server                 |
    | `FINAL_ERRORS` as answer to join   | no     | asking again does not change the answer      |
    | any other error                    | yes    | `unavailable`, `rate_limited` pass           |

How long to wait before is the library's affair (`capnweb_sync.client.reconnect`).
"""

from __future__ import annotations

from typing import Final

from capnweb_sync import RemoteError, SessionClosed
from capnweb_sync.client.reconnect import (
    MAX_DELAY,
    Backoff,
    Status,
    keep_trying,
    may_pass,
)
from capnweb_sync.close_codes import ACCOUNT_CAME, SENT_AWAY, TAKEN_OVER, TOKEN_OVER, CloseCode

from .errors import BadAnswer

FINAL_CODES: Final = frozenset(
    {TAKEN_OVER, ACCOUNT_CAME, TOKEN_OVER, SENT_AWAY, CloseCode.POLICY_VIOLATION}
)
"""Close codes that mean: stay away."""

FINAL_ERRORS: Final = frozenset(
    {"bad_request", "forbidden", "username_taken", "too_large", "too_many", "unauthorized"}
)
"""Answers to a join that will not change by asking again."""


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
    return may_pass(error)


__all__ = ["MAX_DELAY", "Backoff", "Status", "comes_back", "keep_trying", "stays_away"]
