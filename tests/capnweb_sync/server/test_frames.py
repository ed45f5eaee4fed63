"""The frame reader against RFC 6455, and against the frame code of the package `websockets`."""

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State

from capnweb_sync.close_codes import CloseCode, describe_close
from capnweb_sync.server.frames import (
    Close,
    Event,
    Failure,
    FrameReader,
    Ping,
    Pong,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
)

from .frame_building import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    client_close,
    client_frame,
    header,
)

MAX_MESSAGE = 1000


def read(stream: bytes, max_message: int = MAX_MESSAGE) -> list[Event]:
    return FrameReader(max_message).feed(stream)


def read_cut(stream: bytes, size: int) -> list[Event]:
    reader = FrameReader(MAX_MESSAGE)
    return [
        event
        for start in range(0, len(stream), size)
        for event in reader.feed(stream[start : start + size])
    ]


def failure_code(stream: bytes) -> int | None:
    last = read(stream)[-1:]
    return last[0].code if last and isinstance(last[0], Failure) else None


# Against `websockets`.


def events_of_websockets(stream: bytes) -> list[Event]:
    """What `websockets` reads from the stream, as our events.

    It reads frames; messages are put together here, and what this server refuses of its own choice
    (binary) or checks in another place (UTF-8) is judged here.
    """
    protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=MAX_MESSAGE)
    protocol.receive_data(stream)
    events: list[Event] = []
    message = b""
    for frame in protocol.events_received():
        data = bytes(frame.data)  # type: ignore[union-attr]
        opcode = frame.opcode  # type: ignore[union-attr]
        if opcode is Opcode.BINARY:
            return [*events, Failure(CloseCode.UNSUPPORTED_DATA, "")]
        if opcode is Opcode.PING:
            events.append(Ping(data))
        elif opcode is Opcode.PONG:
            events.append(Pong(data))
        elif opcode is Opcode.CLOSE:
            assert protocol.close_rcvd is not None
            return [*events, Close(protocol.close_rcvd.code, protocol.close_rcvd.reason)]
        else:
            message += data
            if frame.fin:  # type: ignore[union-attr]
                try:
                    events.append(message.decode())
                except UnicodeDecodeError:
                    return [*events, Failure(CloseCode.INVALID_DATA, "")]
                message = b""
    if protocol.close_sent is not None:
        events.append(Failure(CloseCode(protocol.close_sent.code), ""))
    return events


def without_sentences(events: list[Event]) -> list[Event]:
    return [Failure(e.code, "") if isinstance(e, Failure) else e for e in events]


controls = st.builds(
    client_frame, st.binary(max_size=125), st.sampled_from((PING, PONG)), final=st.just(True)
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A text in one frame or in fragments cut anywhere, with control frames in between."""
    text = draw(st.text(max_size=60)).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    stream = b""
    for index, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(text)], strict=True)):
        opcode = CONTINUATION if index else TEXT
        stream += client_frame(text[start:end], opcode, final=index == len(cuts))
        if index < len(cuts):
            stream += b"".join(draw(st.lists(controls, max_size=1)))
    return stream


close_frames = st.one_of(
    st.just(client_close(None)),
    st.builds(
        client_close,
        st.one_of(st.integers(990, 1020), st.integers(0, 65535)),
        st.text(max_size=30).map(str.encode),
    ),
)

faults = st.one_of(
    st.builds(lambda bit: client_frame(b"x", TEXT | bit), st.sampled_from((0x10, 0x20, 0x40))),
    st.builds(
        lambda op: client_frame(b"x", op), st.sampled_from((3, 4, 5, 6, 7, 11, 12, 13, 14, 15))
    ),
    st.just(header(0x80 | TEXT, 2, masked=False) + b"ab"),
    st.builds(lambda op: client_frame(b"x" * 126, op), st.sampled_from((CLOSE, PING, PONG))),
    st.builds(lambda op: client_frame(b"x", op, final=False), st.sampled_from((PING, PONG))),
    st.just(client_frame(b"x", CONTINUATION)),
    st.just(client_frame(b"x", TEXT, final=False) + client_frame(b"x", TEXT)),
    st.builds(lambda n: header(0x80 | TEXT, n) + MASK, st.integers(MAX_MESSAGE + 1, 1 << 62)),
    st.just(client_frame(b"x" * 600, final=False) + header(0x80, 401) + MASK),
    st.builds(
        client_frame, st.sampled_from((b"\xff", b"\xc3", b"a\xed\xa0\x80", b"\xf5\x80\x80\x80"))
    ),
    st.just(client_frame(b"\xc3", final=False) + client_frame(b"\x28", CONTINUATION)),
    st.just(client_frame(b"x", CLOSE)),
    st.just(client_close(1000, b"\xff")),
    st.just(client_frame(b"x", BINARY)),
    close_frames,
)

streams = st.builds(
    lambda before, fault, after: b"".join(before) + fault + b"".join(after),
    st.lists(st.one_of(messages(), controls), max_size=5),
    st.one_of(st.just(b""), faults),
    st.lists(messages(), max_size=1),
)


@given(streams)
def test_reads_what_websockets_reads_from_valid_and_invalid_streams(stream: bytes) -> None:
    assert without_sentences(read(stream)) == events_of_websockets(stream)


@given(streams)
def test_the_same_is_read_however_the_stream_is_cut(stream: bytes) -> None:
    whole = read(stream)

    assert read_cut(stream, 1) == whole
    assert read_cut(stream, 7) == whole


@given(st.one_of(messages(), faults))
def test_one_cut_at_any_byte_changes_nothing(stream: bytes) -> None:
    whole = read(stream)

    for cut in range(len(stream)):
        reader = FrameReader(MAX_MESSAGE)
        assert reader.feed(stream[:cut]) + reader.feed(stream[cut:]) == whole


@given(st.binary(max_size=200))
def test_reads_random_bytes_without_an_error_of_its_own(stream: bytes) -> None:
    assert read_cut(stream, 1) == read(stream)


@given(st.integers(0, 300), st.integers(0, 255))
def test_unmasks_every_length(length: int, byte: int) -> None:
    text = chr(byte) * length

    assert read(client_frame(text.encode())) == [text]


# RFC 6455, point by point.


def test_many_frames_come_out_of_one_piece() -> None:
    stream = client_frame(b"one") + client_frame(b"p", PING) + client_frame(b"two")

    assert read(stream) == ["one", Ping(b"p"), "two"]


def test_what_came_before_a_violation_is_delivered() -> None:
    events = read(client_frame(b"good") + client_frame(b"\xff"))

    assert events[0] == "good"
    assert isinstance(events[1], Failure)
    assert events[1].code == CloseCode.INVALID_DATA


def test_nothing_is_read_after_a_close_frame() -> None:
    reader = FrameReader(MAX_MESSAGE)

    assert reader.feed(client_close(1000) + client_frame(b"late")) == [Close(1000, "")]
    assert reader.feed(client_frame(b"later")) == []


NOT_UTF8 = "κόσμε".encode() + b"\xf4\x90"  # the beginning of a code point above U+10FFFF


@pytest.mark.parametrize("cut", range(1, 12))
def test_invalid_utf8_in_a_fragment_is_refused_before_the_message_ends(cut: int) -> None:
    reader = FrameReader(MAX_MESSAGE)
    assert reader.feed(client_frame(NOT_UTF8[:cut], final=False)) == []
    assert reader.feed(client_frame(b"", PING)) == [Ping(b"")]
    (failure,) = reader.feed(client_frame(NOT_UTF8[cut:], CONTINUATION, final=False))
    assert isinstance(failure, Failure)
    assert failure.code == CloseCode.INVALID_DATA
    assert reader.feed(client_frame(b"more", CONTINUATION)) == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("length", [50, 500])
def test_invalid_utf8_is_refused_before_its_frame_is_complete(size: int, length: int) -> None:
    frame = client_frame(NOT_UTF8 + b"x" * length)
    head = len(frame) - len(NOT_UTF8) - length
    reader = FrameReader(MAX_MESSAGE)
    for start in range(0, head + len(NOT_UTF8) - size, size):
        assert reader.feed(frame[start : start + size]) == []
    start = start + size
    events = reader.feed(frame[start : head + len(NOT_UTF8)])
    assert [event.code for event in events if isinstance(event, Failure)] == [1007]


@given(st.text(max_size=200), st.lists(st.integers(1, 40)), st.lists(st.integers(1, 40)))
def test_valid_text_arrives_however_it_is_cut(
    text: str, fragments: list[int], chunks: list[int]
) -> None:
    pieces = cut_at(text.encode(), fragments)
    stream = b"".join(
        client_frame(piece, TEXT if index == 0 else CONTINUATION, final=index == len(pieces) - 1)
        for index, piece in enumerate(pieces)
    )
    reader = FrameReader(MAX_MESSAGE)
    assert [event for chunk in cut_at(stream * 2, chunks) for event in reader.feed(chunk)] == [
        text,
        text,
    ]


def cut_at(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


class Counted:
    """A ledger that sums up."""

    held = 0

    def hold(self, size: int) -> None:
        self.held += size


def test_what_is_not_whole_yet_counts_until_it_is() -> None:
    ledger = Counted()
    reader = FrameReader(MAX_MESSAGE, ledger)
    frame = client_frame(b"x" * 500)
    reader.feed(frame[:400])
    assert ledger.held == 400
    reader.feed(frame[400:] + client_frame(b"y" * 300, final=False))
    assert ledger.held == 300
    reader.feed(client_frame(b"z", CONTINUATION))
    assert ledger.held == 0


def test_a_character_may_be_cut_by_fragments() -> None:
    euro = "€".encode()
    stream = client_frame(euro[:1], final=False) + client_frame(euro[1:], CONTINUATION)

    assert read(stream) == ["€"]


def test_a_close_frame_may_come_in_the_middle_of_a_message() -> None:
    """RFC 6455, section 5.4: control frames may be injected, and a close frame is one."""
    assert read(client_frame(b"a", final=False) + client_close(1001)) == [Close(1001, "")]


@pytest.mark.parametrize(
    ("width", "length"), [(2, 0), (2, 125), (8, 0), (8, 125), (8, 126), (8, 65535)]
)
def test_a_length_that_is_not_in_its_shortest_form_is_a_violation(width: int, length: int) -> None:
    """RFC 6455, section 5.2; `websockets` lets it pass."""
    events = read(client_frame(b"x" * length, width=width), max_message=1 << 17)

    assert events == [Failure(CloseCode.PROTOCOL_ERROR, "A length has its shortest form.")]


def test_the_highest_bit_of_a_length_must_be_zero() -> None:
    assert failure_code(header(0x81, 1 << 63)) == CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_a_close_code_that_must_not_be_sent_is_a_violation(code: int) -> None:
    assert failure_code(client_close(code)) == CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4999])
def test_a_close_code_that_may_be_sent_is_read_with_its_reason(code: int) -> None:
    assert read(client_close(code, "Tschüß".encode())) == [Close(code, "Tschüß")]


def test_a_message_of_the_longest_size_is_read_and_one_byte_more_is_not() -> None:
    assert read(client_frame(b"x" * MAX_MESSAGE)) == ["x" * MAX_MESSAGE]
    assert failure_code(client_frame(b"x" * (MAX_MESSAGE + 1))) == CloseCode.MESSAGE_TOO_BIG


def test_a_limit_below_the_size_of_a_control_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="125"):
        FrameReader(124)


def test_the_middle_of_a_frame_may_look_like_a_frame() -> None:
    reader = FrameReader(MAX_MESSAGE)
    inner = client_frame(b"inner")
    outer = header(0x80 | PING, len(inner)) + b"\0\0\0\0"

    assert reader.feed(outer) == []
    assert reader.feed(inner) == [Ping(inner)]


# What an attacker may try.


def test_an_announced_length_of_2_to_the_62_costs_nothing() -> None:
    reader = FrameReader(MAX_MESSAGE)
    tracemalloc.start()
    try:
        (event,) = reader.feed(header(0x81, 1 << 62))
        for _ in range(100):
            assert reader.feed(b"x" * 65536) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(event, Failure)
    assert event.code == CloseCode.MESSAGE_TOO_BIG
    assert peak < 100_000


def test_a_message_too_long_in_fragments_is_refused_by_the_header_that_makes_it_so() -> None:
    reader = FrameReader(MAX_MESSAGE)
    assert reader.feed(client_frame(b"x" * MAX_MESSAGE, final=False)) == []

    (event,) = reader.feed(header(0x00, 1))

    assert isinstance(event, Failure)
    assert event.code == CloseCode.MESSAGE_TOO_BIG


def seconds_for_one_byte_fragments(count: int) -> float:
    reader = FrameReader(1 << 20)
    fragment = client_frame(b"x", CONTINUATION, final=False)
    began = time.process_time()
    reader.feed(client_frame(b"x", final=False))
    for _ in range(count // 1024):
        assert reader.feed(fragment * 1024) == []
    assert reader.feed(client_frame(b"", CONTINUATION)) == ["x" * (count + 1)]
    return time.process_time() - began


def test_a_megabyte_in_one_byte_fragments_costs_linear_time() -> None:
    sixteenth = min(seconds_for_one_byte_fragments(1 << 16) for _ in range(3))
    whole = seconds_for_one_byte_fragments((1 << 20) - 1024)

    assert whole < 16 * sixteenth * 4


def test_a_long_frame_that_drips_in_byte_by_byte_costs_linear_time() -> None:
    def seconds(size: int) -> float:
        stream = client_frame(b"x" * size)
        reader = FrameReader(1 << 20)
        began = time.process_time()
        events = [event for byte in stream for event in reader.feed(bytes((byte,)))]
        assert events == ["x" * size]
        return time.process_time() - began

    assert seconds(160_000) < 8 * min(seconds(20_000) for _ in range(3)) * 4


# Writing.


@pytest.mark.parametrize(
    ("size", "header_size"), [(0, 2), (1, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)]
)
def test_a_text_frame_has_the_shortest_header_and_is_read_by_websockets(
    size: int, header_size: int
) -> None:
    protocol = Protocol(Side.CLIENT, state=State.OPEN)
    frame_sent = text_frame(b"x" * size)

    protocol.receive_data(frame_sent)

    assert len(frame_sent) == header_size + size
    (frame,) = protocol.events_received()
    assert (frame.opcode, frame.data, frame.fin) == (Opcode.TEXT, b"x" * size, True)  # type: ignore[union-attr]


def test_ping_and_pong_frames_carry_their_payload() -> None:
    protocol = Protocol(Side.CLIENT, state=State.OPEN)

    protocol.receive_data(ping_frame(b"a") + pong_frame(b"b"))

    ping, pong = protocol.events_received()
    assert (ping.opcode, ping.data) == (Opcode.PING, b"a")  # type: ignore[union-attr]
    assert (pong.opcode, pong.data) == (Opcode.PONG, b"b")  # type: ignore[union-attr]


def test_a_close_frame_carries_code_and_reason() -> None:
    assert close_frame(4001, "Ab") == b"\x88\x04\x0f\xa1Ab"


def test_a_close_frame_without_a_code_is_empty() -> None:
    assert close_frame(CloseCode.NO_STATUS) == b"\x88\x00"


def test_a_long_reason_is_cut_between_characters() -> None:
    frame = close_frame(1000, "€" * 42)

    assert frame[4:].decode() == "€" * 41


def test_a_reason_with_a_lone_surrogate_can_be_sent() -> None:
    assert close_frame(1000, "\ud83d!")[4:] == b"?!"


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000, 70000])
def test_a_code_that_must_not_be_sent_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        close_frame(code)


def test_every_close_code_has_words() -> None:
    for code in CloseCode:
        assert str(int(code)) not in describe_close(code)
    assert "4321" in describe_close(4321)
