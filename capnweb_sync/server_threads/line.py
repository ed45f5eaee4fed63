"""The socket of a connection, as simple-websocket uses one: `recv`, `send`, `close`.

Behind it the socket does not block. Whoever sends only queues, in whatever thread; the one thread
that reads also sends what waits, pings, and keeps the deadlines. So nothing blocks on a peer that
does not read, frames of two threads are never mixed, and TLS, whose socket two threads must not use
at once, is used by one. A byte on a pair of sockets wakes the reading thread.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final

from ..runtimes.fork import close_copy, in_child

RECEIVE_SIZE: Final = 16 * 1024
"""Bytes taken from the kernel at a time."""

PING: Final = b"\x89\x00"
"""A ping without a payload, as servers send it (RFC 6455, section 5.5.2)."""

_CLOSE: Final = 0x8
_OPCODE: Final = 0x0F
_CONTROL: Final = 0x08
"""The bit that opcodes of control frames have."""
_FINAL_CONTROL: Final = 0x80 | _CONTROL
"""The answer to the handshake, which begins with an H, has only the latter."""
_HEADER: Final = 2
"""Bytes before the payload of a control frame that is not masked."""

_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Line:
    """See the top of this file. Times in seconds."""

    def __init__(
        self,
        sock: Any,
        *,
        max_buffered: int,
        ping_interval: float,
        ping_timeout: float,
        close_timeout: float,
    ) -> None:
        self._sock = sock
        self._max_buffered = max_buffered
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._close_timeout = close_timeout
        # Re-entrant: a finalizer that runs in here may send a release.
        self._lock = threading.RLock()
        self._unsent: deque[bytes | memoryview] = deque()
        self._buffered = 0
        self._writers: list[threading.Lock] = []
        self._heard = time.monotonic()
        self._pinged = False
        self._close_by: float | None = None
        self._over = False
        self.closing: bytes | None = None
        """The payload of the close frame that was queued."""
        self.lost = ""
        """Why the connection is gone, if it was lost."""
        self.overflowed = False
        """Whether the peer reads too slowly: all but what is under way was dropped."""
        self._selector = selectors.DefaultSelector()
        self._bell, self._button = socket.socketpair()
        for end in (sock, self._bell, self._button):
            end.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._selector.register(sock, selectors.EVENT_READ)
        in_child(self, Line._let_go)

    # What simple-websocket and the connection use; `send` from any thread.

    def send(self, data: bytes) -> int:
        """Queue `data`, whole frames. After a close frame, and after the end, it is dropped."""
        with self._lock:
            if self._over or self.closing is not None:
                return len(data)
            self.closing = _close_payload(data)
            if self.closing is not None:
                self._close_by = time.monotonic() + self._close_timeout
                self._wake_writers()
            elif self.overflowed:
                return len(data)
            elif self._buffered > self._max_buffered:
                if not data[0] & _CONTROL:
                    self._drop_unsent()
                return len(data)
            self._unsent.append(data)
            self._buffered += len(data)
            self._ring()
        return len(data)

    def _drop_unsent(self) -> None:
        """Of what is being sent a part may be on its way; TLS wants to go on with it, too."""
        while len(self._unsent) > 1:
            self._unsent.pop()
        self._buffered = sum(map(len, self._unsent))
        self.overflowed = True

    def recv(self, size: int) -> bytes:
        """The next bytes; sends and keeps the deadlines meanwhile. Raises OSError at the end."""
        while True:
            self._keep_deadlines()
            self._flush()
            try:
                data: bytes = self._sock.recv(size)
            except _WOULD_BLOCK:
                self._wait()
                continue
            except OSError as error:
                raise self._gone(f"The connection broke: {error.strerror or error}.") from None
            if not data:
                raise self._gone("The peer ended the connection without a word.")
            self._heard = time.monotonic()
            self._pinged = False
            return data

    def close(self) -> None:
        """The socket is the server's, and `finish` ends the connection."""

    # For the connection.

    def wait_room(self, timeout: float | None) -> bool:
        """Block until half of what may wait is free, or until the end; see `Transport`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            awake = threading.Lock()
            awake.acquire()
            with self._lock:
                if self._has_room():
                    return True
                self._writers.append(awake)
            left = -1.0 if deadline is None else max(deadline - time.monotonic(), 0)
            try:
                if not awake.acquire(timeout=min(left, threading.TIMEOUT_MAX)):
                    return self._has_room()
            finally:
                with self._lock, suppress(ValueError):
                    self._writers.remove(awake)

    def drop(self, reason: str) -> None:
        """End the connection at once, from any thread."""
        with self._lock:
            self._close_by = time.monotonic()
            self.lost = self.lost or reason
            self._ring()

    def finish(self) -> None:
        """Send what waits, end the stream, wait for the peer's end, then shut the socket down: the
        server that owns it finds it so, whatever it does next."""
        clean = self._say_farewell()
        with self._lock:
            self._over = True
            self._unsent.clear()
            self._wake_writers()
            self._selector.close()
            self._bell.close()
            self._button.close()
        if not clean:
            # A peer that reads nothing would keep the kernel trying for minutes.
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _say_farewell(self) -> bool:
        """Whether the peer has taken all of it, and has ended its stream."""
        if self.lost or self._close_by is None:
            return False
        try:
            while self._unsent:
                self._keep_deadlines()
                self._flush()
                if self._unsent:
                    self._wait(reading=False)
            self._sock.shutdown(socket.SHUT_WR)
            while True:
                self._keep_deadlines()
                try:
                    if not self._sock.recv(RECEIVE_SIZE):
                        return True
                except _WOULD_BLOCK:
                    self._wait()
        except OSError:
            return False

    # Within.

    def _has_room(self) -> bool:
        ended = self._over or self._close_by is not None or self.overflowed
        return ended or self._buffered < self._max_buffered // 2

    def _wake_writers(self) -> None:
        while self._writers:
            self._writers.pop().release()

    def _ring(self) -> None:
        """Wake the reading thread."""
        with suppress(OSError):  # It is being rung for already, or it is gone.
            self._button.send(b"\0")

    def _flush(self) -> None:
        """Hand over to the kernel what it takes."""
        with self._lock:
            try:
                while self._unsent:
                    head = self._unsent[0]
                    sent = self._sock.send(head)
                    self._buffered -= sent
                    if sent == len(head):
                        self._unsent.popleft()
                    else:
                        self._unsent[0] = memoryview(head)[sent:]
            except _WOULD_BLOCK:
                pass
            except OSError:
                # Reading meets it, too, when it has read what the peer had to say.
                self._unsent.clear()
                self._buffered = 0
            if self._has_room():
                self._wake_writers()

    def _wait(self, *, reading: bool = True) -> None:
        """Wait until there is something to read, to send, or to do."""
        events = (selectors.EVENT_READ if reading else 0) | (
            selectors.EVENT_WRITE if self._unsent else 0
        )
        if self._selector.get_key(self._sock).events != events:
            self._selector.modify(self._sock, events)
        for key, _ in self._selector.select(max(self._next_deadline() - time.monotonic(), 0)):
            if key.fileobj is self._bell:
                self._bell.recv(RECEIVE_SIZE)

    def _next_deadline(self) -> float:
        if self._close_by is not None:
            return self._close_by
        return self._heard + self._ping_interval + (self._ping_timeout if self._pinged else 0)

    def _keep_deadlines(self) -> None:
        if time.monotonic() < self._next_deadline():
            return
        if self._close_by is not None:
            raise self._gone("The peer did not answer the closing handshake.")
        if self._pinged:
            raise self._gone("The peer did not answer a ping.")
        self._pinged = True
        self.send(PING)

    def _gone(self, reason: str) -> OSError:
        self.lost = self.lost or reason
        return OSError(self.lost)

    def _let_go(self) -> None:
        """In a forked child: the connection is the parent's."""
        self._lock = threading.RLock()
        self._over = True
        self._unsent.clear()
        self._selector.close()
        for sock in (self._sock, self._bell, self._button):
            close_copy(sock)


def _close_payload(data: bytes) -> bytes | None:
    """The payload of a close frame, which may come behind pongs; text comes alone."""
    at = 0
    while at + _HEADER <= len(data) and data[at] & _FINAL_CONTROL == _FINAL_CONTROL:
        end = at + _HEADER + data[at + 1]
        if data[at] & _OPCODE == _CLOSE:
            return data[at + _HEADER : end]
        at = end
    return None
