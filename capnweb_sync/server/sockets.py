"""The socket of a connection that outlives its request, taken over from the HTTP handler.

A plain socket is taken away whole: the handler's object is left empty, so that what it and its
server close at the end of the request is nothing, and what stays is the interpreter's own small
socket without gevent's two watchers. The state of TLS lives in its socket object, which cannot be
left empty: the object stays, and an open file on it keeps the server's `close()` from ending it.
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Any, Protocol

from gevent import monkey

#: The interpreter's class, also where gevent has patched it.
_native_socket = monkey.get_original("socket", "socket")


class ConnectionSocket(Protocol):
    """A non-blocking stream socket: what is used of one, with the meaning of `socket.socket`."""

    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes | memoryview, /) -> int: ...
    def fileno(self) -> int: ...
    def shutdown(self, how: int, /) -> None: ...
    def setsockopt(self, level: int, option: int, value: bytes, /) -> None: ...
    def close(self) -> None: ...
    def detach(self) -> int: ...


def take_socket(handled: Any) -> ConnectionSocket:
    """Take the connection out of a gevent socket, plain or TLS, which its server may then close."""
    if handled.family in (socket.AF_INET, socket.AF_INET6):
        # A small frame goes out at once, not when the one before has been acknowledged.
        handled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(handled, "unwrap"):
        return TlsSocket(handled)
    taken: Any = _native_socket(handled.family, handled.type, handled.proto, handled.detach())
    taken.setblocking(False)
    connection: ConnectionSocket = taken
    return connection


def reset(connection: ConnectionSocket) -> None:
    """Close with a reset: a peer that reads nothing would keep the kernel trying for minutes."""
    on, seconds = 1, 0
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, seconds))
    except OSError:
        pass  # the peer has reset it already
    connection.close()


class TlsSocket:
    """gevent's TLS socket as a non-blocking `ConnectionSocket`."""

    __slots__ = ("_file", "_socket")

    def __init__(self, handled: Any) -> None:
        self._file = handled.makefile("rb", buffering=0)
        self._socket = handled
        handled.settimeout(0.0)

    def recv(self, size: int, /) -> bytes:
        """All that has been decrypted with the next record: no event will tell of the rest."""
        try:
            data: bytes = self._socket.recv(size)
            while self._socket.pending():
                data += self._socket.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        return data

    def send(self, data: bytes | memoryview, /) -> int:
        """0 if TLS cannot go on now. It is to be called again with at least the same data."""
        sent: int = self._socket.send(data)
        return sent

    def fileno(self) -> int:
        descriptor: int = self._socket.fileno()
        return descriptor

    def shutdown(self, how: int, /) -> None:
        """End sending, with the alert of TLS that says so. What arrives later is undecrypted."""
        try:
            self._socket.unwrap()
        except OSError:
            pass  # the alert is sent; its answer is not waited for
        self._socket.shutdown(how)

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        self._socket.setsockopt(level, option, value)

    def detach(self) -> int:
        """Leave the descriptor to the caller, without a word of TLS."""
        descriptor: int = self._socket.detach()
        return descriptor

    def close(self) -> None:
        self._file.close()
        self._socket.close()
