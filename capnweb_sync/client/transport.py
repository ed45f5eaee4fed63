"""The client's connection after its handshake: a `Line`, one thread that reads it, and frames.

What is sent, when, and for how long a peer is waited for is the line's. The frames are
websocket-client's, apart from what it lacks: a bound on their size, and UTF-8 that is checked in C.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import websocket
from websocket import ABNF

from ..close_codes import CloseCode, cut_reason
from ..errors import logger
from ..line import Ended, Line
from ..runtimes.fork import in_child
from ..runtimes.threads import named, thread_runtime

MAX_CONTROL: Final = 125
"""Bytes that a control frame may carry (RFC 6455, section 5.5)."""


class Receiver(Protocol):
    """What the transport needs of an `RpcSession`."""

    def receive(self, message: str | bytes) -> None: ...

    def connection_lost(self, close_code: int | None, reason: str) -> None: ...


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
        self._sock = sock
        self._max_message = max_message
        self._max_waiting = max_waiting
        self._line = Line(
            sock,
            ping=partial(frame, ABNF.OPCODE_PING, b""),
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_waiting=max_waiting,
        )
        self.wait_room = self._line.wait_room

        # The thread's own.
        self._frames = Frames(self._read)
        self._frames.most = max_message
        self._buffer = b""

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
        if not self._line.send(frame(ABNF.OPCODE_TEXT, packed)):
            self._line.break_off(
                f"The peer reads too slowly: {self._line.waiting} bytes wait to be sent to it, "
                f"more than the {self._max_waiting} that may. With max_waiting=…, connect() keeps"
                " more."
            )

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what waits; the thread does the rest."""
        self._send_close(struct.pack("!H", code) + cut_reason(reason))

    def _send_close(self, payload: bytes) -> None:
        self._line.send_close(frame(ABNF.OPCODE_CLOSE, payload))

    def start(self, session: Receiver) -> None:
        """Start reading for `session`. Raises RuntimeError or MemoryError, and drops the
        connection, if there is no thread for that."""
        try:
            thread_runtime().start(partial(self._run, session))
        except BaseException:
            self._give_back()
            raise

    def join(self) -> None:
        """Wait until the connection is gone: after `close`, a matter of `close_timeout`."""
        if self._reader is not threading.current_thread():
            self._gone.wait()

    def _let_go(self) -> None:
        """In a forked child: the connection is the parent's."""
        self._gone = threading.Event()
        self._gone.set()

    # ---- The thread

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
        """Tell the peer what it did wrong, and let it be the first to end its stream."""
        if end.code in (
            CloseCode.PROTOCOL_ERROR,
            CloseCode.UNSUPPORTED_DATA,
            CloseCode.INVALID_DATA,
            CloseCode.MESSAGE_TOO_BIG,
        ):
            self.close(end.code, end.reason)
        self._line.part(first=False)

    def _give_back(self) -> None:
        self._line.give_back()
        self._sock.close()
        self._reader = None
        self._gone.set()

    def _read_messages(self, session: Receiver) -> None:
        """Hand messages to the session until the end, which is always an exception."""
        while True:
            message = self._read_message()
            if not self._line.closing:
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
            self._line.send_control(frame(ABNF.OPCODE_PONG, payload))
        elif opcode == ABNF.OPCODE_CLOSE:
            self._send_close(payload[:2])  # RFC 6455, 5.5.1: answered with the same code.
            code = struct.unpack("!H", payload[:2])[0] if payload else CloseCode.NO_STATUS
            raise Ended(code, payload[2:].decode("utf-8", "replace"))

    def _read(self, size: int) -> bytes:
        """Up to `size` bytes, at least one."""
        if not self._buffer:
            self._buffer = self._line.receive()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data
