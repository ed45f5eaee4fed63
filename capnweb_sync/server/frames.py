"""WebSocket frames, as a server reads and writes them (RFC 6455, sections 5 to 8). No I/O.

`FrameReader` turns bytes, however they were cut on their way, into messages and control frames. It
decides from a frame's header alone: what announces too much is refused before its bytes are taken
into memory. What takes time is done once a message and in C: unmasking is one exclusive-or of two
integers, UTF-8 is checked by decoding. Only what arrives in pieces
is checked as it arrives, so that whoever sends something else is refused at once.

No extension is negotiated, so a reserved bit is an error. Cap'n Web sends JSON as text; a binary
message is refused.
"""

from __future__ import annotations

import codecs
from sys import maxsize
from typing import Final, NamedTuple, Protocol, TypeAlias

from ..close_codes import CloseCode, cut_reason, may_be_sent

_CONTINUATION = 0x0
_TEXT = 0x1
_BINARY = 0x2
_CLOSE = 0x8
_PING = 0x9
_PONG = 0xA
_OPCODES = frozenset((_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG))

_FINAL = 0x80
_RESERVED = 0x70
_MASKED = 0x80
_FINAL_TEXT = _FINAL | _TEXT

#: The longest length that stands in the header's second byte itself; also the longest payload of a
#: control frame (RFC 6455, sections 5.2 and 5.5).
SHORT_PAYLOAD = 125

_MASK_SIZE = 4
#: Bytes of a short masked frame besides its payload: two of header, four of mask.
_SHORT_OVERHEAD = 2 + _MASK_SIZE
_SHORTEST_FRAME = _SHORT_OVERHEAD
_LONGEST_SHORT_FRAME = _SHORT_OVERHEAD + SHORT_PAYLOAD


class Ping(NamedTuple):
    """The peer asks for a pong with the same payload."""

    payload: bytes


class Pong(NamedTuple):
    """The peer answers a ping, or shows that it is there."""

    payload: bytes


class Close(NamedTuple):
    """The peer closes. The code is 1005 if its frame had none."""

    code: int
    reason: str


class Failure(NamedTuple):
    """The peer violated the protocol: the connection is to be closed with this code and reason."""

    code: CloseCode
    reason: str


#: A text message is its `str`. `Close` and `Failure` are the last event of a reader.
Event: TypeAlias = "str | Ping | Pong | Close | Failure"


_UTF8_DECODER: Final = codecs.getincrementaldecoder("utf-8")

_NOT_UTF8 = Failure(CloseCode.INVALID_DATA, "A text is not valid UTF-8.")


class _Violation(Exception):
    """Becomes the event `Failure`; nobody else sees it."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        self.failure = Failure(code, reason)


class Ledger(Protocol):
    """Counts what is kept for a peer."""

    def hold(self, size: int, /) -> None:
        """Keep so many bytes more; less, if `size` is negative."""


class FrameReader:
    """Reads the frames of one client."""

    __slots__ = (
        "_buffer",
        "_checked",
        "_decoder",
        "_held",
        "_ledger",
        "_max_message",
        "_message",
        "_over",
        "more",
    )

    def __init__(self, max_message: int, ledger: Ledger | None = None) -> None:
        """
        Args:
            max_message: bytes of the longest message that is accepted, 125 at least.
            ledger: where the bytes of what is not whole yet count.

        Raises:
            ValueError: `max_message` is below 125.
        """
        if max_message < SHORT_PAYLOAD:
            raise ValueError(f"max_message must be {SHORT_PAYLOAD} bytes at least")
        self._max_message = max_message
        #: The beginning of a frame whose end has not arrived.
        self._buffer: bytes | bytearray = b""
        #: The payload so far of a message that arrives in fragments.
        self._message: bytearray | None = None
        #: Checks a message that arrives in pieces; None while there is no such message.
        self._decoder: codecs.IncrementalDecoder | None = None
        #: Bytes of the incomplete frame's payload that it has seen.
        self._checked = 0
        self._ledger = ledger
        self._held = 0
        self._over = False
        #: Whether `feed` has stopped before the end of what it had.
        self.more = False

    def feed(self, data: bytes, most: int = maxsize) -> list[Event]:
        """Take the next bytes of the stream and return what is complete with them, in order.

        At most `most` frames are looked at, empty ones and fragments included. If there is `more`,
        call again without data before any other bytes.

        After a `Close` or a `Failure` all further bytes are ignored (RFC 6455, section 1.4).
        """
        size = len(data)
        # The typical case, whole and alone: one short text message.
        if (
            _SHORTEST_FRAME <= size <= _LONGEST_SHORT_FRAME
            and data[0] == _FINAL_TEXT
            and data[1] == size - _SHORT_OVERHEAD | _MASKED
            and not self._buffer
            and self._message is None
            and not self._over
        ):
            try:
                return [_short_text(data, _SHORT_OVERHEAD, size)]
            except UnicodeDecodeError:
                self._over = True
                return [_NOT_UTF8]
        if self._over:
            return []
        events: list[Event] = []
        try:
            self._read_frames(data, events, most)
        except _Violation as violation:
            events.append(violation.failure)
            self._over = True
        except UnicodeDecodeError:
            events.append(_NOT_UTF8)
            self._over = True
        if self._over:
            self._buffer = b""
            self._message = None
            self.more = False
        if self._ledger is not None:
            self._count(self._ledger)
        return events

    def _count(self, ledger: Ledger) -> None:
        held = len(self._buffer) + (len(self._message) if self._message is not None else 0)
        if held != self._held:
            ledger.hold(held - self._held)
            self._held = held

    def _read_frames(self, data: bytes, events: list[Event], most: int) -> None:
        """Append the event of each complete frame to `events`; keep what is left over."""
        waiting = self._buffer
        buffer: bytes | bytearray = data
        if isinstance(waiting, bytearray):
            waiting += data
            buffer = waiting
        end = len(buffer)
        position = 0
        frames = 0
        while not self._over and end - position >= 2 and frames < most:
            frames += 1
            first, second = buffer[position], buffer[position + 1]
            if (
                first == _FINAL_TEXT
                and _MASKED <= second <= _MASKED | SHORT_PAYLOAD
                and self._message is None
                and self._decoder is None
                and end >= (whole := position + _SHORT_OVERHEAD + second - _MASKED)
            ):
                # The typical case among others: calls come as two or three short messages.
                events.append(_short_text(buffer, position + _SHORT_OVERHEAD, whole))
                position = whole
                continue
            self._check_header(first, second)
            length = second & ~_MASKED
            start = position + 2
            if length > SHORT_PAYLOAD:
                width = 2 if length == SHORT_PAYLOAD + 1 else 8
                if end < start + width:
                    break
                length = _long_length(buffer[start : start + width])
                start += width
            if not first & _CLOSE and length > self._room():
                raise _Violation(
                    CloseCode.MESSAGE_TOO_BIG,
                    f"A message may have {self._max_message} bytes at most (max_message_size).",
                )
            payload_start = start + _MASK_SIZE
            position_after = payload_start + length
            if end < position_after:
                if not first & _CLOSE:
                    self._check_part(buffer, payload_start, end)
                break
            payload = _unmask(buffer[start:payload_start], buffer[payload_start:position_after])
            position = position_after
            self._take_frame(first, payload, events)
        self.more = frames >= most and position < end
        if isinstance(waiting, bytearray):
            del waiting[:position]
            if not waiting:
                self._buffer = b""
        elif position < end:
            self._buffer = bytearray(buffer[position:])

    def _check_part(self, buffer: bytes | bytearray, start: int, end: int) -> None:
        """Check what has arrived of a text frame whose payload begins at `start`."""
        new = start + self._checked
        if new >= end:
            return
        if self._decoder is None:
            self._decoder = _UTF8_DECODER()
        turned = self._checked % _MASK_SIZE
        mask = buffer[start - _MASK_SIZE : start]
        mask = mask[turned:] + mask[:turned]
        self._decoder.decode(_unmask(mask, buffer[new:end]))
        self._checked = end - start

    def _room(self) -> int:
        """Bytes by which the message may still grow."""
        return self._max_message - (len(self._message) if self._message is not None else 0)

    def _check_header(self, first: int, second: int) -> None:
        """Refuse what the first two bytes of a frame already show to be wrong."""
        opcode = first & 0x0F
        if first & _RESERVED:
            problem = "A reserved bit is set, and no extension was agreed on."
        elif opcode not in _OPCODES:
            problem = f"There is no opcode {opcode}."
        elif not second & _MASKED:
            problem = "A client's frames must be masked."
        elif opcode & _CLOSE:
            if first & _FINAL and second & ~_MASKED <= SHORT_PAYLOAD:
                return
            problem = "A control frame has at most 125 bytes and is never fragmented."
        elif opcode == _BINARY:
            raise _Violation(CloseCode.UNSUPPORTED_DATA, "Only text messages are accepted.")
        elif opcode == _CONTINUATION and self._message is None:
            problem = "There is no message to continue."
        elif opcode == _TEXT and self._message is not None:
            problem = "The message before has not been finished."
        else:
            return
        raise _Violation(CloseCode.PROTOCOL_ERROR, problem)

    def _take_frame(self, first: int, payload: bytes, events: list[Event]) -> None:
        opcode = first & 0x0F
        if opcode == _PING:
            events.append(Ping(payload))
        elif opcode == _PONG:
            events.append(Pong(payload))
        elif opcode == _CLOSE:
            events.append(_parse_close(payload))
            self._over = True
        elif first == _FINAL_TEXT:
            self._decoder, self._checked = None, 0
            events.append(payload.decode())
        else:
            if self._message is None:
                self._message = bytearray()
            self._message += payload
            checked, self._checked = self._checked, 0
            if first & _FINAL:
                message, self._message, self._decoder = self._message, None, None
                events.append(message.decode())
            else:
                if self._decoder is None:
                    self._decoder = _UTF8_DECODER()
                self._decoder.decode(payload[checked:])


def _long_length(field: bytes | bytearray) -> int:
    """The payload's length from a field of two or eight bytes (RFC 6455, section 5.2)."""
    length = int.from_bytes(field, "big")
    if length >> 63:
        raise _Violation(CloseCode.PROTOCOL_ERROR, "The highest bit of a length must be 0.")
    if length <= (SHORT_PAYLOAD if len(field) == 2 else 0xFFFF):
        raise _Violation(CloseCode.PROTOCOL_ERROR, "A length has its shortest form.")
    return length


def _unmask(mask: bytes | bytearray, payload: bytes | bytearray) -> bytes:
    """Undo the masking of section 5.3 in one operation on integers as long as the payload.

    Up to a thousand bytes nothing in Python is faster. Beyond, four translations of every fourth
    byte take half the time, at the price of tables of 64 KiB and of a second way.
    """
    size = len(payload)
    key = (mask * (size // _MASK_SIZE + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(
        size, "little"
    )


#: By the size of a short payload: what to multiply a mask with to have it over and over.
_REPETITIONS = [
    sum(1 << 8 * _MASK_SIZE * index for index in range(-(-size // _MASK_SIZE)))
    for size in range(SHORT_PAYLOAD + 1)
]
#: By the size of a short payload: as many bits as it has.
_WHOLE = [(1 << 8 * size) - 1 for size in range(SHORT_PAYLOAD + 1)]


def _short_text(buffer: bytes | bytearray, start: int, end: int) -> str:
    """The text of a short payload, whose mask stands before `start`: what `_unmask` does, in two
    thirds of the time."""
    size = end - start
    mask = _from_bytes(buffer[start - _MASK_SIZE : start], "little")
    masked = _from_bytes(buffer[start:end], "little")
    return (masked ^ mask * _REPETITIONS[size] & _WHOLE[size]).to_bytes(size, "little").decode()


_from_bytes = int.from_bytes


def _parse_close(payload: bytes) -> Close:
    """Read a close frame's payload (RFC 6455, sections 5.5.1 and 7.4)."""
    if not payload:
        return Close(CloseCode.NO_STATUS, "")
    # The half of a code, a single byte, is below every code that there is.
    code = int.from_bytes(payload[:2], "big")
    if not may_be_sent(code):
        raise _Violation(CloseCode.PROTOCOL_ERROR, f"A close frame cannot have the code {code}.")
    return Close(code, payload[2:].decode())


#: By the size of the payload.
_SHORT_TEXT_HEADERS = [bytes((_FINAL_TEXT, size)) for size in range(SHORT_PAYLOAD + 1)]


def text_frame(payload: bytes) -> bytes:
    """Make the frame that carries one message (RFC 6455, section 5.2).

    Args:
        payload: UTF-8.

    Returns:
        The frame, unmasked, as servers send it.
    """
    size = len(payload)
    if size <= SHORT_PAYLOAD:
        return _SHORT_TEXT_HEADERS[size] + payload
    return _frame(_TEXT, payload)


def ping_frame(payload: bytes = b"") -> bytes:
    """A ping; `payload` has 125 bytes at most."""
    return _frame(_PING, payload)


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping; `payload` is the ping's."""
    return _frame(_PONG, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame.

    Args:
        code: 1005 makes a frame without a code.
        reason: cut after the last character that fits into 123 bytes.

    Raises:
        ValueError: `code` is not one that may stand in a frame.
    """
    if code == CloseCode.NO_STATUS:
        return _frame(_CLOSE, b"")
    if not may_be_sent(code):
        raise ValueError(f"{code} is not a close code that may be sent")
    return _frame(_CLOSE, code.to_bytes(2, "big") + cut_reason(reason))


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= SHORT_PAYLOAD:
        return bytes((_FINAL | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((_FINAL | opcode, SHORT_PAYLOAD + 1)) + size.to_bytes(2, "big") + payload
    return bytes((_FINAL | opcode, SHORT_PAYLOAD + 2)) + size.to_bytes(8, "big") + payload
