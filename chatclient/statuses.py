"""The exit statuses of the terminal program: what a script can tell apart."""

from __future__ import annotations

from typing import Final

from .errors import (
    ChatError,
    ConnectionLost,
    Forbidden,
    SentAway,
    TakenOver,
    Unauthorized,
    Unavailable,
    Unreachable,
    UsernameTaken,
)

LEFT, FAILED, MISUSED, TAKEN, REFUSED, UNREACHED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

MEANINGS: Final = {
    LEFT: "left, and all was said",
    FAILED: "something was not said, or not shown; or there was no name",
    MISUSED: "a wrong option",
    TAKEN: "the name is taken, or was taken over",
    REFUSED: "the server does not let us in, or an admin sent us away",
    UNREACHED: "there was no connection in time, or it is lost",
    INTERRUPTED: "interrupted before there was a chat, or twice",
}
"""All of them, for `--help` and `docs/terminal.md`."""

OF_ERRORS: Final[dict[type[ChatError], int]] = {
    UsernameTaken: TAKEN,
    TakenOver: TAKEN,
    Unauthorized: REFUSED,
    SentAway: REFUSED,
    Forbidden: REFUSED,
    Unreachable: UNREACHED,
    Unavailable: UNREACHED,
    ConnectionLost: UNREACHED,
}
"""Of the errors with which a chat ends, or has not begun; of any other it is FAILED. The first that
fits counts."""


def status_of(error: Exception) -> int:
    """The exit status of a chat that ends with this error."""
    # A server that answers the handshake with such a status lets nobody in from here.
    if isinstance(error, Unreachable) and 400 <= (error.status or 0) < 500:
        return REFUSED
    return next((status for kind, status in OF_ERRORS.items() if isinstance(error, kind)), FAILED)


def sentence() -> str:
    """All of them, for `--help`."""
    return f"Exit status: {'; '.join(f'{status} {what}' for status, what in MEANINGS.items())}."
