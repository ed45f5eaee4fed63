"""The loggers of the library, which are observers of every session that is made while somebody
listens to them:

    capnweb_sync.connection   INFO: opened; closed, with code, reason, seconds, calls both ways.
                              DEBUG: batches, handshakes
    capnweb_sync.calls        DEBUG: each call with its method, peer, milliseconds and outcome
    capnweb_sync.wire         DEBUG: each message, cut

Whether somebody listens is asked when a session is made: `isEnabledFor`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from ..close_codes import logged_reason
from ..errors import SessionClosed
from .observer import Call, Conversation, Observer

connection_logger = logging.getLogger("capnweb_sync.connection")
calls_logger = logging.getLogger("capnweb_sync.calls")
wire_logger = logging.getLogger("capnweb_sync.wire")

MAX_SHOWN: Final = 1000
"""Characters of a message that are logged: whole calls of most programs, and no files."""

Redact = Callable[[str], str]


class ConnectionLog(Observer):
    """Logs when sessions begin and end."""

    def connection_opens(self, conversation: Conversation) -> None:
        """A session begins."""
        connection_logger.log(level_of(conversation), "opened: %s", conversation.peer)

    def connection_closes(self, conversation: Conversation, error: SessionClosed) -> None:
        """A session is over."""
        connection_logger.log(
            level_of(conversation),
            "closed: %s, code %s, %s, after %.3f s, %d calls served, %d made",
            conversation.peer,
            "none" if error.close_code is None else error.close_code,
            printable(logged_reason(error.close_code, error.reason) or "no reason given"),
            conversation.seconds,
            conversation.calls_served,
            conversation.calls_made,
        )


def level_of(conversation: Conversation) -> int:
    """Batches are requests, of which the server's access log has a line."""
    return logging.DEBUG if conversation.batch else logging.INFO


class CallLog(Observer):
    """Logs calls."""

    def call_ends(self, call: Call, seconds: float, error: BaseException | None) -> None:
        """A call is done."""
        calls_logger.debug(
            "%s %s %s: %s after %.1f ms",
            printable(call.method),
            "of" if call.outgoing else "for",
            call.conversation.peer,
            "done" if error is None else f"failed, {printable(repr(error))}",
            seconds * 1000,
        )


class WireLog(Observer):
    """Logs messages."""

    redact: Redact | None = None

    def message_in(self, conversation: Conversation, message: str | bytes) -> None:
        """A message has arrived."""
        self._log("<", conversation, message)

    def message_out(self, conversation: Conversation, message: bytes) -> None:
        """A message goes out."""
        self._log(">", conversation, message)

    def _log(self, direction: str, conversation: Conversation, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode(errors="replace")
        if self.redact is not None:
            text = self.redact(text)
        wire_logger.debug("%s %s %s", conversation.peer, direction, printable(text, len(text)))


def printable(text: str, size: int | None = None) -> str:
    """`text` in one line, cut; what a peer has sent never reaches a terminal as control
    characters."""
    shown = text[:MAX_SHOWN]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
    size = len(text) if size is None else size
    return shown if size <= MAX_SHOWN else f"{shown}… ({size} characters)"


CONNECTIONS: Final = ConnectionLog()
CALLS: Final = CallLog()
WIRE: Final = WireLog()

LOGS: Final = (
    (connection_logger, logging.INFO, CONNECTIONS),
    (calls_logger, logging.DEBUG, CALLS),
    (wire_logger, logging.DEBUG, WIRE),
)


def log_handshake(began: float, outcome: str) -> None:
    """Log how a client's handshake went that began then (`time.perf_counter()`)."""
    milliseconds = (time.perf_counter() - began) * 1000
    connection_logger.debug("handshake: %s, after %.1f ms", outcome, milliseconds)


def listening() -> list[Observer]:
    """Those of the loggers that somebody listens to now."""
    return [log for logger, level, log in LOGS if logger.isEnabledFor(level)]


def redact_wire(function: Redact | None) -> None:
    """Leave secrets out of the logger `capnweb_sync.wire`.

    Args:
        function: called with each whole message, before it is cut; what it returns is logged. If it
            raises, the message is not logged. None: messages are logged as they are.
    """
    WIRE.redact = function
