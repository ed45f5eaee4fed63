"""When and whether to come back into a chat after a connection was lost; how long to wait before
is the library's affair."""

from __future__ import annotations

from typing import Final

from capnweb_sync import RemoteError, SessionClosed
from capnweb_sync.client.reconnect import (
    MAX_DELAY,
    POLICY_VIOLATED,
    Backoff,
    Status,
    keep_trying,
    may_pass,
)

from .errors import TAKEN_OVER, BadAnswer

FINAL_CODES: Final = frozenset({TAKEN_OVER, POLICY_VIOLATED})
"""Close codes that mean: stay away."""

FINAL_ERRORS: Final = frozenset(
    {"bad_request", "username_taken", "too_large", "too_many", "unauthorized"}
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
