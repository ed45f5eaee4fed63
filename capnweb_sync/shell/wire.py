"""Showing each message of a session, as `curl -v` shows HTTP."""

from __future__ import annotations

import sys
from typing import Any

from capnweb_sync import RpcSession, Transport


def show(direction: str, message: str | bytes) -> None:
    """Write a message to standard error, in one line."""
    text = message if isinstance(message, str) else message.decode(errors="replace")
    sys.stderr.write(f"{direction} {text}\n")


class ShownTransport:
    """A transport that shows what is sent through it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def send(self, packed: bytes) -> None:
        """Show a message and send it. A client's is packed as it is."""
        show(">", packed)
        self._transport.send(packed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class ShownSession(RpcSession):
    """A session that shows its messages."""

    __slots__ = ()

    def __init__(self, transport: Transport, *args: Any, **options: Any) -> None:
        shown: Any = ShownTransport(transport)
        super().__init__(shown, *args, **options)

    def receive(self, message: str | bytes) -> None:
        """Show a message and take it."""
        show("<", message)
        super().receive(message)
