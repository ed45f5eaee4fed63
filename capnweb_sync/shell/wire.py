"""Showing each message of a session, as `curl -v` shows HTTP."""

from __future__ import annotations

import sys

from capnweb_sync import Observer
from capnweb_sync.observe import Conversation

from .output import harmless


class ShowWire(Observer):
    """Writes each message to standard error, in one line."""

    def message_in(self, conversation: Conversation, message: str | bytes) -> None:
        """A message has arrived."""
        show("<", message)

    def message_out(self, conversation: Conversation, message: bytes) -> None:
        """A message goes out."""
        show(">", message)


def show(direction: str, message: str | bytes) -> None:
    """Write one."""
    text = message if isinstance(message, str) else message.decode(errors="replace")
    sys.stderr.write(f"{direction} {harmless(text)}\n")
