"""The client's connection after its handshake: a socket, a queue, and one thread.

Everything follows from one decision: the socket does not block. Whoever sends does so at once, in
its own thread, as far as the kernel takes it; what is left waits in a bounded queue. The one
thread reads, sends what was left, pings, and keeps the deadlines; nothing that a peer does or
omits keeps it from them. So `send` never blocks, no pong waits behind a blocked send, and a peer
that vanished without a word holds up nobody.

It is the same with TLS, whose socket two threads must not use at once (each use is short and under
a lock), and with gevent, whose patched `threading`, `socket` and `selectors` are used as they are
when a connection is made. The frames are websocket-client's, apart from what it lacks: a bound on
their size, and UTF-8 that is checked in C.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import websocket
from websocket import ABNF

from ..close_codes import CloseCode
from ..errors import logger
from ..runtimes.fork import close_copy, in_child
from ..runtimes.threads import RETRY_SECONDS, named, thread_runtime

RECEIVE_SIZE: Final = 64 * 1024
"""Bytes asked of the socket at once: many small frames, or four records of TLS."""

MAX_CONTROL: Final = 125
"""Bytes that a control frame may carry (RFC 6455, section 5.5)."""

MAX_REASON: Final = MAX_CONTROL - 2
"""Bytes of a close frame's reason: what its code leaves."""


class Receiver(Protocol):
    """What the transport needs of an `RpcSession`."""

    def receive(self, message: str | bytes) -> None: ...

    def connection_lost(self, close_code: int | None, reason: str) -> None: ...


class Ended(Exception):
    """The connection is over; `code` and `reason` are for the session."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = int(code)
        self.reason = reason


class Frames(websocket.frame_buffer):
    """websocket-client's frame parser, refusing a frame by its header, before its bytes are read.

    `room` is how many bytes the message may still have, `most` how many one may have.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        super().__init__(read, skip_utf8_validation=True)
        self.room = self.most = 0

    def recv_length(self) -> None:
        """Read the length of a frame; the parser calls this after its first two bytes."""
        super().recv_length()
        assert self.header is not None
        assert self.length is not None
        opcode = self.header[4]
        if opcode >= ABNF.OPCODE_CLOSE:
            if self.length > MAX_CONTROL:
                raise Ended(CloseCode.PROTOCOL_ERROR, "The peer sent an oversized control frame.")
        elif self.length > self.room:
            raise Ended(
                CloseCode.MESSAGE_TOO_BIG,
                f"The peer sent a message of more than {self.most} bytes. With"
                " limits=Limits(max_message_size=…), connect() takes larger ones.",
            )

    def next(self) -> tuple[int, bool, bytes]:
        """The next frame: its opcode, whether it is the last of its message, its payload."""
        frame = self.recv_frame()
        if frame.mask_value:
            raise Ended(CloseCode.PROTOCOL_ERROR, "The peer sent a masked frame.")  # RFC 6455, 5.1
        assert isinstance(frame.data, bytes)
        return frame.opcode, bool(frame.fin), frame.data


def frame(opcode: int, payload: bytes) -> bytes:
    """A frame as clients send it, masked with a mask of its own."""
    packed: bytes = ABNF.create_frame(payload, opcode).format()
    return packed


class WebSocketTransport:
    """The core's `Transport` over a connected socket; times in seconds, see `client.connect`."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        max_message: int,
        ping_interval: float | None,
        ping_timeout: float,
        close_timeout: float,
        max_waiting: int,
        peer: str | None = None,
    ) -> None:
        self.peer = peer
        sock.setblocking(False)
        self._sock = sock
        self._max_message = max_message
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._close_timeout = close_timeout
        self._max_waiting = max_waiting

        # The thread's own.
        self._frames = Frames(self._read)
        self._frames.most = max_message
        self._buffer = b""
        self._heard = time.monotonic()
        self._pinged: float | None = None

        # Under the lock, like every use of the socket. Re-entrant: a finalizer that runs in here
        # may send a release; nothing below minds a frame that is queued in between.
        self._lock = threading.RLock()
        self._writers: list[threading.Lock] = []  # Of those who wait for room; released by others.
        self._unsent: deque[bytes | memoryview] = deque()
        self._waiting = 0
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
        self._reader: threading.Thread | None = None
        self._gone = threading.Event()
        in_child(self, WebSocketTransport._let_go)

    can_concatenate = False

    @staticmethod
    def pack(message: bytes) -> bytes:
        """The message as it is: a client masks each frame with a mask of its own."""
        return message

    def send(self, packed: bytes) -> None:
        """Send a message, as much of it as the kernel takes now and the rest later."""
        text = frame(ABNF.OPCODE_TEXT, packed)
        with self._lock:
            if self._close_by is not None or self._broken is not None:
                return
            if self._waiting <= self._max_waiting:
                self._queue(text)
            else:
                self._broken = Ended(
                    CloseCode.ABNORMAL,
                    f"The peer reads too slowly: {self._waiting} bytes wait to be sent to it, "
                    f"more than the {self._max_waiting} that may.",
                )
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

    def _wake_writers(self) -> None:
        """Let those who wait for room look again."""
        while self._writers:
            self._writers.pop().release()

    def _has_room(self) -> bool:
        ended = self._close_by is not None or self._broken is not None
        return ended or self._waiting < self._max_waiting // 2

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what waits; the thread does the rest."""
        text = reason.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore")
        self._send_close(struct.pack("!H", code) + text.encode())

    def _send_close(self, payload: bytes) -> None:
        with self._lock:
            if self._queueing and self._broken is None:
                # A frame may have been sent in part, or would be sent again.
                self._unsent.clear()
                self._broken = Ended(CloseCode.ABNORMAL, "An exception has interrupted sending.")
                self._wake_writers()
                self._ring()
            if self._close_by is None and self._broken is None:
                self._close_by = time.monotonic() + self._close_timeout
                self._wake_writers()
                self._queue(frame(ABNF.OPCODE_CLOSE, payload))
                self._ring()

    def _send_control(self, opcode: int, payload: bytes) -> None:
        """Send a ping or pong before all messages that wait.

        It is dropped when too much waits: a peer that sends pings and reads nothing gets no pongs.
        """
        with self._lock:
            if self._close_by is None and self._waiting <= self._max_waiting:
                self._queue(frame(opcode, payload), first=True)

    # ---- Under the lock

    def _queue(self, packed: bytes, *, first: bool = False) -> None:
        """Send a frame after those that wait, or right after the one that is being sent."""
        within, self._queueing = self._queueing, True
        self._waiting += len(packed)
        if self._unsent:
            self._unsent.insert(1 if first else len(self._unsent), packed)
        else:
            self._unsent.append(packed)
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
                self._waiting -= sent
                if sent == len(head):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = memoryview(head)[sent:]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return  # TLS wants to be given the very same bytes again; so frames are never joined.
        except OSError:
            # The thread meets it, too, when it has read what the peer had to say.
            self._unsent.clear()
            self._waiting = 0

    def _ring(self) -> None:
        """Wake the thread."""
        try:
            self._button.send(b"\0")
        except OSError:
            pass  # It is being rung for already, or it is gone.

    # ---- The thread

    def start(self, session: Receiver) -> None:
        """Start reading for `session`. Raises RuntimeError or MemoryError, and drops the
        connection, if there is no thread for that."""
        try:
            self._threads.start(partial(self._run, session))
        except BaseException:
            self._give_back()
            raise

    def join(self) -> None:
        """Wait until the connection is gone: after `close`, a matter of `close_timeout`."""
        if self._reader is not threading.current_thread():
            self._gone.wait()

    def _let_go(self) -> None:
        """In a forked child: the connection is the parent's. Whoever held a lock is not here."""
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._gone = threading.Event()
        self._broken = Ended(CloseCode.ABNORMAL, "The connection is the parent process's.")
        self._unsent.clear()
        self._selector.close()  # Before the sockets, which gevent watches.
        for sock in (self._sock, self._bell, self._button):
            close_copy(sock)
        self._gone.set()

    @named("capnweb_sync connection")
    def _run(self, session: Receiver) -> None:
        self._reader = threading.current_thread()
        end = Ended(CloseCode.ABNORMAL, "Reading failed on our side.")
        try:
            try:
                self._read_messages(session)
            except Ended as ended:
                end = ended
            except websocket.WebSocketException as error:
                end = Ended(
                    CloseCode.PROTOCOL_ERROR, f"The peer broke the WebSocket protocol: {error}."
                )
            except Exception:
                logger.exception("Reading from a peer failed unforeseen")
            finally:
                # Before the farewell, so that whoever waits for an answer learns at once.
                session.connection_lost(end.code, end.reason)
            self._say_farewell(end)
        finally:
            self._give_back()

    def _say_farewell(self, end: Ended) -> None:
        """Tell the peer what it did wrong, and let it be the first to end its stream.

        RFC 6455, section 7.1.1: the server closes the TCP connection, the client waits for that.
        """
        if end.code in (
            CloseCode.PROTOCOL_ERROR,
            CloseCode.UNSUPPORTED_DATA,
            CloseCode.INVALID_DATA,
            CloseCode.MESSAGE_TOO_BIG,
        ):
            self.close(end.code, end.reason)
        try:
            while self._broken is None:
                self._receive()
        except Ended:
            pass  # It ended its stream, or the time to do so is over.

    def _give_back(self) -> None:
        with self._lock:
            self._broken = self._broken or Ended(CloseCode.ABNORMAL, "")
            self._wake_writers()
            self._unsent.clear()
            self._selector.close()  # Before the sockets, which gevent watches.
            self._sock.close()
            self._bell.close()
            self._button.close()
        self._reader = None
        self._gone.set()

    def _read_messages(self, session: Receiver) -> None:
        """Hand messages to the session until the end, which is always an exception."""
        while True:
            message = self._read_message()
            if self._close_by is None:
                session.receive(message)

    def _read_message(self) -> str:
        """The next message, whatever control frames come in between (RFC 6455, section 5.4)."""
        parts = bytearray()
        kind = None
        self._frames.room = self._max_message
        while True:
            opcode, final, payload = self._frames.next()
            if opcode >= ABNF.OPCODE_CLOSE:
                self._control_received(opcode, final, payload)
                continue
            if (opcode == ABNF.OPCODE_CONT) != (kind is not None):
                raise Ended(CloseCode.PROTOCOL_ERROR, "The peer sent fragments out of order.")
            kind = opcode if kind is None else kind
            parts += payload
            self._frames.room -= len(payload)
            if final:
                break
        if kind != ABNF.OPCODE_TEXT:
            raise Ended(CloseCode.UNSUPPORTED_DATA, "The peer sent a message that is not text.")
        try:
            return parts.decode()
        except UnicodeDecodeError:
            raise Ended(CloseCode.INVALID_DATA, "The peer sent text that is not UTF-8.") from None

    def _control_received(self, opcode: int, final: bool, payload: bytes) -> None:
        if not final:
            raise Ended(CloseCode.PROTOCOL_ERROR, "The peer sent a fragmented control frame.")
        if opcode == ABNF.OPCODE_PING:
            self._send_control(ABNF.OPCODE_PONG, payload)
        elif opcode == ABNF.OPCODE_CLOSE:
            self._send_close(payload[:2])  # RFC 6455, 5.5.1: answered with the same code.
            code = struct.unpack("!H", payload[:2])[0] if payload else CloseCode.NO_STATUS
            raise Ended(code, payload[2:].decode("utf-8", "replace"))

    def _read(self, size: int) -> bytes:
        """Up to `size` bytes, at least one."""
        if not self._buffer:
            self._buffer = self._receive()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive(self) -> bytes:
        """The next bytes from the socket; while there are none, all else that this thread does."""
        while True:
            if self._close_by is not None or self._broken is not None:
                self._keep_deadlines()  # Also for a peer that never stops talking.
            try:
                with self._lock:
                    data = self._sock.recv(RECEIVE_SIZE)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._wait()
                continue
            except OSError as error:
                raise self._lost(f"The connection broke: {error.strerror or error}.") from None
            if not data:
                raise self._lost("The peer ended the connection without a word.")
            self._heard = time.monotonic()
            self._pinged = None
            return data

    def _wait(self) -> None:
        """Wait until the socket can be read, until there is something to do, or for a deadline.

        To be called when there was nothing to read just now: then a process that was stopped for
        an hour does not take what has arrived since for silence.
        """
        self._keep_deadlines()
        with self._lock:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
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
        self._send_control(ABNF.OPCODE_PING, b"")

    def _lost(self, reason: str) -> Ended:
        """The connection is gone: nobody is there for a farewell."""
        with self._lock:
            self._broken = self._broken or Ended(CloseCode.ABNORMAL, reason)
            return self._broken
