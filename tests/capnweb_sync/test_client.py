"""The WebSocket client: connecting, living, ending, with peers that behave and peers that don't."""

import gc
import os
import ssl
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Opcode

from capnweb_sync import (
    ClientSession,
    ConnectError,
    Limits,
    RpcSession,
    RpcTarget,
    SessionClosed,
    connect,
)
from capnweb_sync.client.opening import ConnectTimeout, HandshakeError, open_socket
from capnweb_sync.client.transport import WebSocketTransport
from tests.capnweb_sync.frame_peer import FramePeer
from tests.conftest import StartProcess
from tests.processes import DEADLINE, free_port, wait_until

#: Seconds that a client of these tests gives a peer for whatever it has to do.
SHORT = 0.3

#: Seconds that a busy machine may add.
MARGIN = 3


@pytest.fixture
def peer() -> Iterator[FramePeer]:
    with FramePeer() as peer:
        yield peer


def in_thread(function: Callable[..., Any], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


class Listener:
    """Stands in for an `RpcSession`: notes what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.end: tuple[int | None, str] | None = None

    def receive(self, message: str | bytes) -> None:
        assert isinstance(message, str)
        self.messages.append(message)

    def connection_lost(self, close_code: int | None, reason: str) -> None:
        assert self.end is None
        self.end = (close_code, reason)

    def wait_for_end(self) -> tuple[int | None, str]:
        wait_until(lambda: self.end)
        assert self.end is not None
        return self.end


class Client:
    """A connection to a `FramePeer`, with a session that takes notes."""

    def __init__(self, peer: FramePeer, **options: Any) -> None:
        accepting = in_thread(peer.accept)
        sock = open_socket(peer.url, DEADLINE, {}, None, options.pop("sslopt", {}))
        accepting.join()
        defaults = {
            "max_message": 1_000_000,
            "ping_interval": None,
            "ping_timeout": SHORT,
            "close_timeout": SHORT,
            "max_waiting": 1_000_000,
        }
        self.transport = WebSocketTransport(sock, **{**defaults, **options})
        self.session = Listener()
        self.transport.start(self.session)

    def close(self) -> None:
        self.transport.close(1000, "")
        self.transport.join()


@pytest.fixture
def client(peer: FramePeer) -> Iterator[Client]:
    client = Client(peer)
    yield client
    peer.end()
    client.close()


# ---- Connecting


def test_a_connection_that_is_refused_is_an_error_with_its_address() -> None:
    url = f"ws://127.0.0.1:{free_port()}/rpc"
    with pytest.raises(ConnectError, match="Connection refused") as raised:
        connect(url)
    assert raised.value.url == url


def test_a_name_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConnectError, match="name is not known"):
        connect("ws://no-such-host.invalid/rpc")


@pytest.mark.parametrize("url", ["http://localhost/", "localhost", "ws://", "ws://host:port/"])
def test_what_is_not_a_websocket_url_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match="WebSocket URL"):
        connect(url)


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_refusal_carries_its_status_and_its_sentence(peer: FramePeer, status: int) -> None:
    body = b"No such\npath here.\n"
    answer = (
        b"HTTP/1.1 %d Whatever\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (status, len(body), body)
    )
    refusing = in_thread(peer.refuse, answer)
    with pytest.raises(HandshakeError) as raised:
        connect(peer.url)
    refusing.join()
    assert raised.value.status == status
    assert raised.value.sentence == "No such path here."
    assert str(raised.value).endswith(f"the server answered {status}. No such path here.")


def test_a_page_of_html_is_not_shown_as_a_sentence(peer: FramePeer) -> None:
    answer = b"HTTP/1.1 404 X\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
    refusing = in_thread(peer.refuse, answer)
    with pytest.raises(HandshakeError) as raised:
        connect(peer.url)
    refusing.join()
    assert raised.value.sentence == ""


def test_a_redirect_is_not_followed(peer: FramePeer) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: ws://elsewhere.invalid/\r\n\r\n"
    refusing = in_thread(peer.refuse, answer)
    with pytest.raises(HandshakeError, match="elsewhere") as raised:
        connect(peer.url, headers={"Authorization": "secret"})
    refusing.join()
    assert raised.value.status == 302


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"", b"HTTP/1.1 101 Yes\r\n\r\n"])
def test_what_does_not_speak_websocket_is_an_error(peer: FramePeer, answer: bytes) -> None:
    def refuse() -> None:
        peer.refuse(answer)
        peer.end()

    refusing = in_thread(refuse)
    with pytest.raises(ConnectError):
        connect(peer.url)
    refusing.join()


def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time(peer: FramePeer) -> None:
    before = time.monotonic()
    with pytest.raises(ConnectTimeout):
        connect(peer.url, timeout=SHORT)
    assert time.monotonic() - before < SHORT + MARGIN


def test_a_handshake_that_trickles_in_is_given_up_in_time(peer: FramePeer) -> None:
    over = threading.Event()

    def trickle() -> None:
        peer.refuse(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(SHORT / 4):
            peer.sock.send(b"x")

    trickling = in_thread(trickle)
    with pytest.raises(ConnectTimeout):
        connect(peer.url, timeout=SHORT)
    over.set()
    trickling.join()
    wait_until(lambda: "capnweb_sync connect" not in thread_names())


def test_headers_are_sent_and_an_origin_only_if_given(peer: FramePeer) -> None:
    requests: list[bytes] = []

    def refuse() -> None:
        peer.accept_tcp()
        requests.append(peer.read_request())
        peer.sock.close()

    given: list[dict[str, Any]] = [
        {},
        {"origin": "https://example.org", "headers": {"X-Token": "abc"}},
    ]
    for options in given:
        refusing = in_thread(refuse)
        with pytest.raises(ConnectError):
            connect(peer.url, **options)
        refusing.join()
    assert b"Authorization" not in requests[0]
    assert b"Origin" not in requests[0]
    assert b"Origin: https://example.org\r\n" in requests[1]
    assert b"X-Token: abc\r\n" in requests[1]


def test_name_and_password_of_the_url_are_sent_and_never_shown(peer: FramePeer) -> None:
    requests: list[bytes] = []

    def refuse() -> None:
        peer.accept_tcp()
        requests.append(peer.read_request())
        peer.sock.sendall(b"HTTP/1.1 401 Who are you\r\nContent-Length: 0\r\n\r\n")

    refusing = in_thread(refuse)
    with pytest.raises(HandshakeError) as raised:
        connect(peer.url.replace("localhost", "alice:p%40ss@localhost"))
    refusing.join()
    assert b"\r\nAuthorization: Basic YWxpY2U6cEBzcw==\r\n" in requests[0]
    assert raised.value.url == peer.url
    assert "p@ss" not in str(raised.value)
    assert "p%40ss" not in str(raised.value)


# ---- Messages


def test_a_message_arrives_as_text(peer: FramePeer, client: Client) -> None:
    peer.send(Opcode.TEXT, '["grüße"]'.encode())
    wait_until(lambda: client.session.messages == ['["grüße"]'])


def test_a_message_is_sent_as_one_text_frame(peer: FramePeer, client: Client) -> None:
    client.transport.send(client.transport.pack('["grüße"]'.encode()))
    assert peer.receive() == (Opcode.TEXT, '["grüße"]'.encode())


def test_a_message_in_fragments_with_pings_in_between_is_one_message(
    peer: FramePeer, client: Client
) -> None:
    text = '["grüße"]'.encode()
    peer.send(Opcode.TEXT, text[:5], fin=False)
    peer.send(Opcode.PING, b"still there?")
    peer.send(Opcode.CONT, b"", fin=False)
    peer.send(Opcode.CONT, text[5:])
    assert peer.receive() == (Opcode.PONG, b"still there?")
    wait_until(lambda: client.session.messages == ['["grüße"]'])


def test_frames_that_arrive_with_the_handshake_are_read(peer: FramePeer) -> None:
    accepting = in_thread(peer.accept)
    sock = open_socket(peer.url, DEADLINE, {}, None, {})
    accepting.join()
    peer.send(Opcode.TEXT, b"[1]")
    peer.send(Opcode.TEXT, b"[2]")
    transport = WebSocketTransport(
        sock,
        max_message=10,
        ping_interval=None,
        ping_timeout=SHORT,
        close_timeout=SHORT,
        max_waiting=10,
    )
    session = Listener()
    transport.start(session)
    wait_until(lambda: session.messages == ["[1]", "[2]"])
    peer.end()
    transport.join()


def test_large_messages_go_both_ways_at_once(peer: FramePeer) -> None:
    client = Client(peer, max_message=20_000_000, max_waiting=20_000_000)
    large = b"x" * 10_000_000
    client.transport.send(large)
    sending = in_thread(peer.send, Opcode.TEXT, large)
    assert peer.receive() == (Opcode.TEXT, large)
    sending.join()
    wait_until(lambda: client.session.messages)
    assert client.session.messages == [large.decode()]
    peer.end()
    client.close()


def test_messages_of_many_threads_are_never_torn(peer: FramePeer, client: Client) -> None:
    texts = [f"{thread}".encode() * 3_000 for thread in range(8)]

    def send(text: bytes) -> None:
        for _ in range(20):
            client.transport.send(text)

    threads = [in_thread(send, text) for text in texts]
    received = [peer.receive()[1] for _ in range(160)]
    assert sorted(received) == sorted(texts * 20)
    for thread in threads:
        thread.join()


# ---- Peers that break the rules


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(Opcode.TEXT, b"\xff\xfe", True)], 1007),
        ([(Opcode.TEXT, b"\xc3", False), (Opcode.CONT, b"(", True)], 1007),
        ([(Opcode.BINARY, b"[]", True)], 1003),
        ([(Opcode.CONT, b"[]", True)], 1002),
        ([(Opcode.TEXT, b"[", False), (Opcode.TEXT, b"]", True)], 1002),
        ([(Opcode.PING, b"", False)], 1002),
        ([(Opcode.PONG, b"", False)], 1002),
        ([(Opcode.TEXT, b"x" * 600_000, False), (Opcode.CONT, b"x" * 600_000, True)], 1009),
        ([(Opcode.CLOSE, b"\x03", True)], 1002),
        ([(Opcode.CLOSE, (1005).to_bytes(2, "big"), True)], 1002),
    ],
)
def test_a_broken_rule_ends_the_session_and_the_peer_is_told_the_code(
    peer: FramePeer, client: Client, frames: list[tuple[Opcode, bytes, bool]], code: int
) -> None:
    for opcode, data, fin in frames:
        peer.send(opcode, data, fin=fin)
    assert client.session.wait_for_end()[0] == code
    assert peer.receive_close() == code
    assert client.session.messages == []


@pytest.mark.parametrize(
    ("opcode", "length", "code"),
    [
        (Opcode.TEXT, 2**62, 1009),
        (Opcode.TEXT, 1_000_001, 1009),
        (Opcode.PING, 126, 1002),
        (0x03, 0, 1002),
        (0x41, 0, 1002),
    ],
    ids=["huge", "too large", "large ping", "unknown opcode", "reserved bit"],
)
def test_a_frame_is_refused_by_its_header_alone(
    peer: FramePeer, client: Client, opcode: int, length: int, code: int
) -> None:
    peer.send(opcode, b"", length=length)
    assert client.session.wait_for_end()[0] == code
    assert peer.receive_close() == code


def test_a_masked_frame_from_a_server_is_refused(peer: FramePeer, client: Client) -> None:
    peer.sock.sendall(bytes([0x81, 0x80]) + b"mask")
    assert peer.receive_close() == 1002


def test_a_megabyte_in_tiny_fragments_costs_linear_time(peer: FramePeer, client: Client) -> None:
    fragment = bytes([0, 1, ord("x")])
    peer.sock.sendall(bytes([1, 1, ord("x")]) + fragment * 100_000 + bytes([0x80, 1, ord("x")]))
    wait_until(lambda: client.session.messages, timeout=5)
    assert client.session.messages == ["x" * 100_002]


# ---- Endings


@pytest.mark.parametrize(
    ("payload", "end"),
    [
        ((1013).to_bytes(2, "big") + "zu langsam für uns".encode(), (1013, "zu langsam für uns")),
        ((4001).to_bytes(2, "big"), (4001, "")),
        (b"", (1005, "")),
    ],
)
def test_the_close_code_and_the_reason_reach_the_session_and_are_answered(
    peer: FramePeer, client: Client, payload: bytes, end: tuple[int, str]
) -> None:
    peer.send(Opcode.CLOSE, payload)
    assert peer.receive() == (Opcode.CLOSE, payload[:2])
    assert client.session.wait_for_end() == end


def test_an_end_of_file_is_an_abnormal_end(peer: FramePeer, client: Client) -> None:
    peer.sock.close()
    code, reason = client.session.wait_for_end()
    assert code == 1006
    assert reason


def test_a_reset_is_an_abnormal_end(peer: FramePeer, client: Client) -> None:
    client.transport.send(b"[unread]")
    wait_until(lambda: peer.sock.recv(1))
    peer.sock.close()  # With unread data, this is a reset.
    assert client.session.wait_for_end()[0] == 1006


def test_what_the_peer_said_before_it_vanished_is_still_heard(
    peer: FramePeer, client: Client
) -> None:
    peer.send(Opcode.TEXT, b"[1]")
    peer.send(Opcode.CLOSE, (1001).to_bytes(2, "big"))
    peer.sock.close()
    client.transport.send(b"[to nobody]")
    assert client.session.wait_for_end()[0] == 1001
    assert client.session.messages == ["[1]"]


def test_what_was_sent_before_closing_goes_out_first(peer: FramePeer) -> None:
    client = Client(peer, max_waiting=10_000_000, close_timeout=DEADLINE)
    large = b"x" * 5_000_000
    client.transport.send(large)
    client.transport.close(1000, "done " + "ü" * 100)
    client.transport.send(b"[too late]")
    assert peer.receive() == (Opcode.TEXT, large)
    opcode, payload = peer.receive()
    assert opcode is Opcode.CLOSE
    assert payload[:2] == (1000).to_bytes(2, "big")
    assert payload[2:].decode().startswith("done üü")
    assert len(payload) <= 125
    peer.send(Opcode.CLOSE, payload[:2])
    peer.end()
    client.transport.join()


def test_closing_does_not_wait_for_a_peer_that_says_nothing(
    peer: FramePeer, client: Client
) -> None:
    before = time.monotonic()
    client.close()
    assert SHORT <= time.monotonic() - before < SHORT + MARGIN


def test_closing_does_not_wait_for_a_peer_that_reads_nothing(peer: FramePeer) -> None:
    client = Client(peer, max_waiting=20_000_000)
    client.transport.send(b"x" * 10_000_000)
    before = time.monotonic()
    client.close()
    assert time.monotonic() - before < SHORT + MARGIN


def test_closing_does_not_wait_for_a_peer_that_never_stops_talking(
    peer: FramePeer, client: Client
) -> None:
    def talk() -> None:
        try:
            while True:
                peer.send(Opcode.TEXT, b"[1]" * 1_000)
        except OSError:
            pass  # The client has gone.

    talking = in_thread(talk)
    wait_until(lambda: client.session.messages)
    before = time.monotonic()
    client.close()
    assert time.monotonic() - before < SHORT + MARGIN
    talking.join()


# ---- Sending never blocks, silence is noticed


def test_sending_to_a_peer_that_reads_nothing_does_not_block_and_ends_at_the_bound(
    peer: FramePeer, client: Client
) -> None:
    before = time.monotonic()
    for _ in range(200):
        client.transport.send(b"x" * 100_000)
    assert time.monotonic() - before < MARGIN
    code, reason = client.session.wait_for_end()
    assert code == 1006
    assert "too slowly" in reason
    assert "max_waiting=" in reason


def test_one_message_larger_than_the_bound_is_sent(peer: FramePeer, client: Client) -> None:
    client.transport.send(b"x" * 5_000_000)
    assert len(peer.receive()[1]) == 5_000_000


def test_a_pong_does_not_wait_behind_messages_that_wait(peer: FramePeer) -> None:
    client = Client(peer, max_waiting=20_000_000)
    for _ in range(3):
        client.transport.send(b"x" * 4_000_000)
    peer.send(Opcode.PING, b"?")
    peer.send(Opcode.TEXT, b"[after the ping]")
    wait_until(lambda: client.session.messages)
    received = [peer.receive() for _ in range(4)]
    assert [opcode for opcode, _ in received].index(Opcode.PONG) < 3
    peer.end()
    client.close()


def test_pings_that_nobody_reads_the_answers_to_do_not_fill_the_memory(
    peer: FramePeer, client: Client
) -> None:
    client.transport.send(b"x" * 10_000_000)
    for _ in range(1_000):
        peer.send(Opcode.PING, b"x" * 125)
    peer.send(Opcode.TEXT, b"[after the pings]")
    wait_until(lambda: client.session.messages)
    assert peer.receive()[0] is Opcode.TEXT
    client.transport.send(b"[next]")
    assert peer.receive() == (Opcode.TEXT, b"[next]")


def test_a_peer_that_answers_nothing_is_lost(peer: FramePeer) -> None:
    before = time.monotonic()
    client = Client(peer, ping_interval=SHORT, ping_timeout=SHORT)
    code, reason = client.session.wait_for_end()
    assert code == 1006
    assert "not answered" in reason
    assert 2 * SHORT <= time.monotonic() - before < 2 * SHORT + MARGIN
    assert peer.receive() == (Opcode.PING, b"")


def test_a_peer_that_neither_reads_nor_answers_is_lost(peer: FramePeer) -> None:
    client = Client(peer, ping_interval=SHORT, ping_timeout=SHORT, max_waiting=20_000_000)
    client.transport.send(b"x" * 10_000_000)
    assert client.session.wait_for_end()[0] == 1006


def test_a_peer_that_answers_pings_is_not_lost(peer: FramePeer) -> None:
    client = Client(peer, ping_interval=SHORT / 6, ping_timeout=SHORT / 2)
    for _ in range(5):
        assert peer.receive() == (Opcode.PING, b"")
        peer.send(Opcode.PONG, b"")
    assert client.session.end is None
    peer.end()
    client.close()


# ---- TLS


@pytest.fixture
def tls_peer(certificate: Path) -> Iterator[FramePeer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FramePeer(context) as peer:
        yield peer


def test_large_messages_go_both_ways_at_once_over_tls(
    tls_peer: FramePeer, certificate: Path
) -> None:
    sslopt = {"ca_certs": str(certificate)}
    client = Client(tls_peer, max_message=20_000_000, max_waiting=20_000_000, sslopt=sslopt)
    large = b"x" * 5_000_000
    for _ in range(3):
        client.transport.send(large)
        tls_peer.send(Opcode.TEXT, b"[small]")
    assert [tls_peer.receive() for _ in range(3)] == [(Opcode.TEXT, large)] * 3
    sending = in_thread(tls_peer.send, Opcode.TEXT, large)
    client.transport.send(large)
    assert tls_peer.receive() == (Opcode.TEXT, large)
    sending.join()
    wait_until(lambda: len(client.session.messages) == 4)
    tls_peer.end()
    client.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_peer: FramePeer) -> None:
    def accept() -> None:
        with pytest.raises((ssl.SSLError, OSError)):
            tls_peer.accept_tcp()

    accepting = in_thread(accept)
    with pytest.raises(ConnectError, match="certificate verify failed"):
        connect(tls_peer.url)
    accepting.join()


# ---- Whole sessions


class Api(RpcTarget):
    """What the server of these tests offers."""

    def double(self, number: int) -> int:
        return 2 * number

    def text(self, length: int) -> str:
        return "x" * length

    def call_back(self, callback: Any, value: int) -> int:
        result: int = callback(value).result(DEADLINE)
        return result


class Server:
    """A Cap'n Web server on threads: the session of `api` on a `FramePeer`."""

    def __init__(self, peer: FramePeer, api: RpcTarget) -> None:
        self._peer = peer
        self._api = api
        self.thread = in_thread(self._serve)

    def _serve(self) -> None:
        self._peer.accept()
        self.session = RpcSession(self, self._api)
        while True:
            opcode, data = self._peer.receive()
            if opcode is Opcode.CLOSE:
                break
            self.session.receive(data)
        self._peer.send(Opcode.CLOSE, data[:2])
        self._peer.sock.close()
        self.session.connection_lost(int.from_bytes(data[:2], "big"), "")

    can_concatenate = False

    @staticmethod
    def pack(message: bytes) -> bytes:
        return message

    def send(self, packed: bytes) -> None:
        self._peer.send(Opcode.TEXT, packed)

    def close(self, code: int, reason: str) -> None:
        self._peer.send(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode())


@pytest.fixture
def server(peer: FramePeer) -> Iterator[Server]:
    server = Server(peer, Api())
    yield server
    server.thread.join()


def test_calls_and_callbacks_work_and_leave_the_tables_as_they_were(
    peer: FramePeer, server: Server
) -> None:
    with connect(peer.url) as session:
        before = session.stats()
        with session.main.double(21) as promise:
            assert promise.result(DEADLINE) == 42
        with session.main.call_back(lambda value: value + 1, 1) as promise:
            assert promise.result(DEADLINE) == 2
        wait_until(lambda: session.stats() == before)


def test_closing_ends_calls_that_wait_and_is_a_normal_close(
    peer: FramePeer, server: Server
) -> None:
    session = connect(peer.url)
    gate = threading.Event()
    promise = session.main.call_back(lambda value: gate.wait(DEADLINE), 1)
    closing = threading.Timer(SHORT, session.close)
    closing.start()
    with pytest.raises(SessionClosed) as raised:
        promise.result(DEADLINE)
    assert raised.value.close_code == 1000
    assert session.closed
    gate.set()
    closing.join()
    session.close()


def test_a_session_can_be_closed_within_a_served_call(peer: FramePeer, server: Server) -> None:
    session = connect(peer.url)
    session.main.call_back(lambda value: session.close(), 1)
    wait_until(lambda: session.closed)
    session.close()


def test_the_limit_on_messages_is_that_of_the_session(peer: FramePeer, server: Server) -> None:
    with connect(peer.url, limits=Limits(max_message_size=1_000)) as session:
        with pytest.raises(SessionClosed) as raised:
            session.main.text(2_000).result(DEADLINE)
        assert raised.value.close_code == 1009
        assert "1000 bytes" in str(raised.value)
        assert "limits=Limits(max_message_size=…)" in str(raised.value)


def thread_names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "capnweb_sync" in thread.name]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts files in /proc")
@pytest.mark.usefixtures("no_thread_is_kept")
def test_no_thread_and_no_file_is_left_after_closing(peer: FramePeer) -> None:
    gc.collect()
    before = open_files()
    server = Server(peer, Api())
    with connect(peer.url) as session:
        assert session.main.double(1).result(DEADLINE) == 2
    server.thread.join()
    assert "capnweb_sync connection" not in thread_names()
    wait_until(lambda: thread_names() == [])
    assert open_files() == before


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts files in /proc")
@pytest.mark.usefixtures("no_thread_is_kept")
def test_a_session_that_is_dropped_is_told_and_lets_go_of_everything(peer: FramePeer) -> None:
    gc.collect()
    before = open_files()
    server = Server(peer, Api())
    session = connect(peer.url.replace("//", "//user:secret@"))
    main = session.main
    assert main.call_back(lambda value: value, 1).result(DEADLINE) == 1
    shown = "^unclosed <ClientSession with ws://localhost:[0-9]+/rpc, open>$"
    with pytest.warns(ResourceWarning, match=shown):
        del session
    with pytest.raises(SessionClosed, match="dropped") as raised:
        main.double(2).result(DEADLINE)
    assert raised.value.close_code == 1000
    server.thread.join()
    wait_until(lambda: thread_names() == [])
    assert open_files() == before


def close(session: ClientSession, server: Server) -> None:
    session.close()


def close_in_the_background(session: ClientSession, server: Server) -> None:
    session.close(wait=False)


def let_the_peer_close(session: ClientSession, server: Server) -> None:
    wait_until(lambda: hasattr(server, "session"), message="the server has heard of it, too")
    server.session.close()
    wait_until(lambda: session.closed)


@pytest.mark.parametrize("end", [close, close_in_the_background, let_the_peer_close])
def test_a_session_that_is_over_is_dropped_in_silence(
    peer: FramePeer, server: Server, end: Callable[[ClientSession, Server], None]
) -> None:
    session = connect(peer.url)
    end(session, server)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del session
        gc.collect()


UNCLOSED = "import sys, capnweb_sync; session = capnweb_sync.connect(sys.argv[1])"


def test_a_session_that_is_left_to_the_interpreters_end_does_not_hold_it_up(
    peer: FramePeer, start_process: StartProcess
) -> None:
    accepting = in_thread(peer.accept)
    process = start_process(sys.executable, "-W", "always", "-c", UNCLOSED, peer.url)
    assert process.wait(DEADLINE) == 0, process.output
    accepting.join()
    told = "\n".join(process.error_lines)
    assert "ResourceWarning: unclosed <ClientSession" in told
    assert "Traceback" not in told


def test_all_of_this_holds_in_a_process_that_gevent_has_patched(
    start_process: StartProcess,
) -> None:
    process = start_process(
        sys.executable, "-m", "tests.patched", __file__, "-k", "not patched and not linear"
    )
    assert process.wait(60) == 0, process.output
