"""The socket below a WebSocket that a thread serves: what waits to be sent, pings, deadlines.

Everything follows from one decision: the socket does not block. Whoever sends does so at once, in
its own thread, as far as the kernel takes it; what is left waits in a bounded queue. The one thread
reads, sends what was left, pings, and keeps the deadlines; nothing that a peer does or omits keeps
it from them. So sending never blocks, no pong waits behind a blocked send, and a peer that vanished
without a word holds up nobody.

It is the same with TLS, whose socket two threads must not use at once (each use is short and under
a lock), and with gevent, whose patched `threading`, `socket` and `selectors` are used as they are
when a connection is made. Frames are bytes here: what stands in them is known above, to the client
and to servers with threads.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from .close_codes import CloseCode
from .runtimes.fork import close_copy, in_child
from .runtimes.threads import RETRY_SECONDS, thread_runtime

RECEIVE_SIZE: Final = 64 * 1024
"""Bytes asked of the socket at once: many small frames, or four records of TLS."""

_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Ended(Exception):
    """The connection is over; `code` and `reason` are for the session."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = int(code)
        self.reason = reason


class Line:
    """See the top of this file; times in seconds. One thread reads, from first to last."""

    def __init__(
        self,
        sock: Any,
        *,
        ping: Callable[[], bytes],
        ping_interval: float | None,
        ping_timeout: float,
        close_timeout: float,
        max_waiting: int,
        max_unread: int | None = None,
    ) -> None:
        """
        Args:
            sock: connected; whoever made it closes it, after `give_back`.
            ping: makes a frame of a ping.
            ping_interval: of silence, before a ping; None sends none.
            ping_timeout: of further silence, before the connection counts as lost.
            close_timeout: what the peer has for its part of the end.
            max_waiting: bytes that may wait to be sent.
            max_unread: bytes that may wait before nothing more is read; None reads on.
        """
        sock.setblocking(False)
        self._sock = sock
        self._ping = ping
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._close_timeout = close_timeout
        self._max_waiting = max_waiting
        self._max_unread = max_unread

        # The thread's own.
        self._heard = time.monotonic()
        self._pinged: float | None = None
        self._ends_stream = False

        # Under the lock, like every use of the socket. Re-entrant: a finalizer that runs in here
        # may send a release; nothing below minds a frame that is queued in between.
        self._lock = threading.RLock()
        self._writers: list[threading.Lock] = []  # Of those who wait for room; released by others.
        self._unsent: deque[bytes | memoryview] = deque()
        self.waiting = 0
        """Bytes that wait to be sent."""
        self._close_by: float | None = None  # Set when the close frame is queued, the last one.
        self._broken: Ended | None = None  # What the thread shall end with.
        self._queueing = False  # True for good if an exception (Ctrl+C) has cut it.

        # A byte sent on the one end wakes the thread, which watches the other.
        self._selector = selectors.DefaultSelector()
        try:
            self._bell, self._button = socket.socketpair()
        except BaseException:
            self._selector.close()
            raise
        self._bell.setblocking(False)
        self._button.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._selector.register(sock, selectors.EVENT_READ)
        self._threads = thread_runtime()
        in_child(self, Line._let_go)

    # For any thread.

    @property
    def closing(self) -> bool:
        """Whether the close frame was sent or the connection is over: nothing more is sent."""
        return self._close_by is not None or self._broken is not None

    @property
    def broken(self) -> Ended | None:
        """Why the connection is over at once, if it is."""
        return self._broken

    def send(self, frame: bytes) -> bool:
        """Send a frame, as much of it as the kernel takes now and the rest later. After the end it
        is dropped. False if too much waits: then none of it is sent."""
        with self._lock:
            if self._close_by is None and self._broken is None:
                if self.waiting > self._max_waiting:
                    return False
                self._queue(frame)
        return True

    def send_control(self, frame: bytes) -> None:
        """Send a ping or pong before all messages that wait.

        It is dropped when too much waits: a peer that sends pings and reads nothing gets no pongs.
        """
        with self._lock:
            if not self.closing and self.waiting <= self._max_waiting:
                self._queue(frame, first=True)

    def send_close(self, frame: bytes) -> bool:
        """Send the close frame after what waits, unless that was done: from now on the peer has its
        time for its part of the end. Whether it is this one that is sent."""
        with self._lock:
            if self._queueing and self._broken is None:
                # A frame may have been sent in part, or would be sent again.
                self.break_off("An exception has interrupted sending.")
            if self.closing:
                return False
            self._close_by = time.monotonic() + self._close_timeout
            self._wake_writers()
            self._queue(frame)
            self._ring()
            return True

    def drop_unsent(self) -> None:
        """Drop what waits: only of what is being sent a part may be on its way, and TLS wants to be
        given the very same bytes again."""
        with self._lock:
            while len(self._unsent) > 1:
                self.waiting -= len(self._unsent.pop())

    def break_off(self, reason: str) -> None:
        """The connection is over at once. The first reason counts."""
        with self._lock:
            if self._broken is None:
                self._broken = Ended(CloseCode.ABNORMAL, reason)
                self._unsent.clear()
                self._wake_writers()
                self._ring()

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
                with self._lock:
                    if awake in self._writers:
                        self._writers.remove(awake)

    # Under the lock.

    def _wake_writers(self) -> None:
        """Let those who wait for room look again."""
        while self._writers:
            self._writers.pop().release()

    def _has_room(self) -> bool:
        return self.closing or self.waiting < self._max_waiting // 2

    def _queue(self, frame: bytes, *, first: bool = False) -> None:
        """Send a frame after those that wait, or right after the one that is being sent."""
        within, self._queueing = self._queueing, True
        self.waiting += len(frame)
        if self._unsent:
            self._unsent.insert(1 if first else len(self._unsent), frame)
        else:
            self._unsent.append(frame)
            self._flush()
            if self._unsent:
                self._ring()
        self._queueing = within

    def _flush(self) -> None:
        """Hand over to the kernel what it takes."""
        self._hand_over()
        if self._has_room():
            self._wake_writers()

    def _hand_over(self) -> None:
        try:
            while self._unsent:
                head = self._unsent[0]
                sent = self._sock.send(head)
                if not sent:
                    return  # So gevent's TLS says that it would block.
                self.waiting -= sent
                if sent == len(head):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = memoryview(head)[sent:]
        except _WOULD_BLOCK:
            return  # TLS wants to be given the very same bytes again; so frames are never joined.
        except OSError:
            # The thread meets it, too, when it has read what the peer had to say.
            self._unsent.clear()
            self.waiting = 0

    def _ring(self) -> None:
        """Wake the thread."""
        with suppress(OSError):  # It is being rung for already, or it is gone.
            self._button.send(b"\0")

    # The thread.

    def receive(self, size: int = RECEIVE_SIZE) -> bytes:
        """The next bytes from the socket, `size` at most; while there are none, all else that this
        thread does. Raises Ended at the end."""
        while True:
            if self.closing:
                self._keep_deadlines()  # Also for a peer that never stops talking.
            if self._leaves_unread():
                self._wait()
                continue
            try:
                with self._lock:
                    if self._ends_stream and not self._unsent:
                        self._ends_stream = False
                        self._sock.shutdown(socket.SHUT_WR)
                    data: bytes = self._sock.recv(size)
            except _WOULD_BLOCK:
                self._wait()
                continue
            except OSError as error:
                raise self._lost(f"The connection broke: {error.strerror or error}.") from None
            if not data:
                raise self._lost("The peer ended the connection without a word.")
            self._heard = time.monotonic()
            self._pinged = None
            return data

    def part(self, *, first: bool) -> bool:
        """Read until the peer ends its stream, which has `close_timeout` for that.

        Args:
            first: end ours before, as soon as all is sent: the server closes TCP, the client waits
                for that (RFC 6455, section 7.1.1).

        Returns:
            Whether there was a farewell: the close frame was sent, and the end has come in time.
        """
        self._ends_stream = first
        if self._close_by is None:
            return False
        deadline = self._close_by
        try:
            while self._broken is None:
                self.receive()
        except Ended:
            return time.monotonic() < deadline
        return False

    def give_back(self) -> None:
        """Let go of everything but the socket, which nobody uses any more after this."""
        self.break_off("")
        with self._lock:
            self._unsent.clear()
            self._selector.close()  # Before the sockets, which gevent watches.
            self._bell.close()
            self._button.close()

    def _leaves_unread(self) -> bool:
        """Whether the peer is to take first what it has asked for."""
        unread = self._max_unread is not None and self.waiting > self._max_unread
        return unread and not self.closing

    def _wait(self) -> None:
        """Wait until the socket can be read, until there is something to do, or for a deadline.

        To be called when there was nothing to read just now: then a process that was stopped for
        an hour does not take what has arrived since for silence.
        """
        self._keep_deadlines()
        with self._lock:
            events = 0 if self._leaves_unread() else selectors.EVENT_READ
            events |= selectors.EVENT_WRITE if self._unsent else 0
        if self._selector.get_key(self._sock).events != events:
            self._selector.modify(self._sock, events)
        deadline = self._next_deadline()
        timeout = None if deadline is None else max(deadline - time.monotonic(), 0)
        if not self._threads.attend():
            # What this thread has read waits for another one, which could not be had.
            timeout = RETRY_SECONDS if timeout is None else min(timeout, RETRY_SECONDS)
        for key, ready in self._selector.select(timeout):
            if key.fileobj is self._bell:
                self._bell.recv(RECEIVE_SIZE)
            elif ready & selectors.EVENT_WRITE:
                with self._lock:
                    self._flush()

    def _next_deadline(self) -> float | None:
        if self._close_by is not None:
            return self._close_by
        if self._pinged is not None:
            return self._pinged + self._ping_timeout
        return None if self._ping_interval is None else self._heard + self._ping_interval

    def _keep_deadlines(self) -> None:
        if self._broken is not None:
            raise self._broken
        deadline = self._next_deadline()
        if deadline is None or time.monotonic() < deadline:
            return
        if self._close_by is not None:
            raise self._lost("The peer did not answer the closing handshake.")
        if self._pinged is not None:
            silence = time.monotonic() - self._heard
            raise self._lost(f"The peer has not answered for {silence:.0f} s.")
        self._pinged = time.monotonic()
        self.send_control(self._ping())

    def _lost(self, reason: str) -> Ended:
        """The connection is gone: nobody is there for a farewell."""
        with self._lock:
            self._broken = self._broken or Ended(CloseCode.ABNORMAL, reason)
            return self._broken

    def _let_go(self) -> None:
        """In a forked child: the connection is the parent's. Whoever held a lock is not here."""
        self._lock = threading.RLock()
        self._broken = Ended(CloseCode.ABNORMAL, "The connection is the parent process's.")
        self._unsent.clear()
        self._selector.close()  # Before the sockets, which gevent watches.
        for sock in (self._sock, self._bell, self._button):
            close_copy(sock)
