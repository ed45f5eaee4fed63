"""Connections that speak HTTP, or nothing: no client keeps the server waiting without end."""

import logging
import socket as names
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import pytest
from gevent import socket
from gevent.hub import get_hub

from capnweb_sync.server import Connections, HttpConnections, HttpLimits, HttpServer, upgrade

from .conftest import NO_PINGS
from .frame_building import client_frame
from .serving import RecordingSession, connect, request
from .waiting import DEADLINE, eventually

#: Seconds that no test lives to see.
NEVER = 3600.0

#: Seconds after which a test expects an end: long enough for a client of its own to be in time.
SOON = 0.3

GET = b"GET /plain HTTP/1.1\r\nHost: test\r\n\r\n"
POST = b"POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n"


class Server:
    """`/body` answers with the size of the body, `/held` when it is let go, `/ws` is a WebSocket,
    `/big` is more than a client's kernel takes, anything else a greeting."""

    def __init__(self, limits: HttpLimits, **options: Any) -> None:
        self.connections = Connections(ping_interval=NO_PINGS)
        self.http = HttpConnections(limits)
        self.requests: list[str] = []
        self.errors: list[OSError] = []
        self.let_go = gevent.event.Event()
        self.clients: list[Client] = []
        self._server = HttpServer(
            ("127.0.0.1", 0), self.application, http_connections=self.http, log=None, **options
        )
        self._server.start()
        self.port = self._server.server_port or 0

    def application(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        self.requests.append(path)
        answer = b"hello"
        if path == "/body":
            try:
                answer = b"%d" % len(environ["wsgi.input"].read())
            except OSError as error:
                self.errors.append(error)
                start_response("400 Bad Request", [])
                return [b"incomplete"]
        elif path == "/lines":
            answer = b"|".join(environ["wsgi.input"])
        elif path == "/held":
            self.let_go.wait(DEADLINE)
        elif path == "/big":
            answer = bytes(20_000_000)
        elif path == "/ws":
            _, headers = upgrade(environ, self.connections, RecordingSession)
            start_response("101 Switching Protocols", headers)
            return []
        start_response("200 OK", [])
        return [answer]

    @property
    def open(self) -> int:
        """Connections that are served, without WebSockets."""
        return self.http.count

    def stop(self) -> None:
        self.let_go.set()
        for client in self.clients:
            client.socket.close()
        for connection in self.connections:
            connection.abort()
        self._server.stop(timeout=1)


Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server with these limits, the others being endless."""
    servers: list[Server] = []

    def start_with(*, ssl_context: Any = None, **limits: Any) -> Server:
        endless = {"head_seconds": NEVER, "body_seconds": NEVER, "idle_seconds": NEVER}
        options = {} if ssl_context is None else {"ssl_context": ssl_context}
        servers.append(Server(HttpLimits(**{**endless, **limits}), **options))
        return servers[-1]

    yield start_with
    for server in servers:
        server.stop()


class Client:
    """A connection that sends what it is told."""

    def __init__(self, server: Server, data: bytes = b"", source: str = "127.0.0.1") -> None:
        server.clients.append(self)
        self.socket: Any = socket.create_connection(
            ("127.0.0.1", server.port), DEADLINE, source_address=(source, 0)
        )
        self.send(data)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, body: bytes) -> bool:
        """Wait for an answer that ends with `body`; False if the connection ends before."""
        received = b""
        while not received.endswith(body):
            try:
                part = self.socket.recv(4096)
            except ConnectionResetError:
                return False
            if not part:
                return False
            received += part
        return True

    def at_end(self) -> bool:
        """Wait for the end of the connection."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    @property
    def open(self) -> bool:
        """Whether the server has not ended it yet."""
        self.socket.settimeout(0.0)
        try:
            return bool(self.socket.recv(1))
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        finally:
            self.socket.settimeout(DEADLINE)


# Time.


@pytest.mark.parametrize("sent", [b"", b"GET /pl", GET[:-2], GET[:30]])
def test_a_head_that_does_not_come_to_its_end_closes_the_connection(
    start: Start, sent: bytes
) -> None:
    server = start(head_seconds=SOON)

    client = Client(server, sent)

    assert client.at_end()
    eventually(lambda: not server.open)
    assert server.requests == []


def test_a_head_in_drops_has_no_more_time_than_any_other(start: Start) -> None:
    server = start(head_seconds=SOON)
    client = Client(server)

    while client.open:
        try:
            client.send(b"x")
        except OSError:
            break
        gevent.sleep(SOON / 10)

    assert server.requests == []


def test_a_connection_that_is_kept_alive_and_idle_is_closed(start: Start) -> None:
    server = start(idle_seconds=SOON)
    client = Client(server, GET)
    assert client.answer(b"hello")

    assert client.at_end()


def test_the_first_byte_of_the_next_request_ends_being_idle_and_begins_its_head(
    start: Start,
) -> None:
    server = start(idle_seconds=SOON)
    client = Client(server, GET)
    assert client.answer(b"hello")
    client.send(GET[:5])
    gevent.sleep(SOON * 2)

    client.send(GET[5:])

    assert client.answer(b"hello")


def test_the_head_of_the_next_request_has_its_time_too(start: Start) -> None:
    server = start(head_seconds=SOON)
    client = Client(server, GET)
    assert client.answer(b"hello")

    client.send(GET[:5])

    assert client.at_end()
    assert server.requests == ["/plain"]


def test_requests_that_come_together_are_all_answered(start: Start) -> None:
    client = Client(start(), GET * 3 + GET.replace(b"plain", b"last"))

    assert client.answer(b"hello")


def test_requests_that_come_together_do_not_hold_up_the_loop(start: Start) -> None:
    server = start()
    answered: list[int] = []
    timer = get_hub().loop.timer(0, 0.001)
    timer.start(lambda: answered.append(len(server.requests)))

    client = Client(server, GET * 300 + GET.replace(b"plain", b"last"))
    assert client.answer(b"hello")

    timer.close()
    assert any(0 < count < 300 for count in answered)


@pytest.mark.parametrize(
    "head",
    [
        POST % 100,
        POST.replace(b"Content", b"Connection: upgrade\r\nContent") % 100,
        POST.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked"),
    ],
    ids=["length", "upgrade", "chunked"],
)
def test_a_body_that_does_not_come_is_a_failure_for_the_application_and_ends_the_connection(
    start: Start, head: bytes
) -> None:
    server = start(head_seconds=SOON, min_rate=1e9)

    client = Client(server, head)

    assert client.at_end()
    assert [str(error) for error in server.errors] == ["the body of the request comes too slowly"]


def test_a_body_that_comes_too_slowly_is_ended(start: Start) -> None:
    server = start(head_seconds=SOON, min_rate=1000)
    client = Client(server, POST % 1000)

    # 20 bytes in a 0.06 s are a third of what has to come.
    while not server.errors:
        client.send(bytes(20))
        gevent.sleep(SOON / 5)

    assert client.at_end()


def test_a_body_that_comes_steadily_may_take_longer_than_a_head(start: Start) -> None:
    server = start(head_seconds=SOON, min_rate=100)
    client = Client(server, POST % 500)

    for _ in range(10):
        client.send(bytes(50))
        gevent.sleep(SOON / 5)

    assert client.answer(b"500")


def test_a_body_that_comes_steadily_has_an_end_all_the_same(start: Start) -> None:
    server = start(body_seconds=SOON)
    client = Client(server, POST % 1_000_000)

    while not server.errors:
        client.send(bytes(100))
        gevent.sleep(SOON / 10)

    assert client.at_end()


def test_what_comes_after_a_body_was_given_up_is_no_request(start: Start) -> None:
    server = start(head_seconds=SOON, min_rate=1e9)
    client = Client(server, POST % 1000)
    eventually(lambda: server.errors)

    try:
        client.send(GET)
    except OSError:
        pass  # The server has closed it already.

    assert client.at_end()
    eventually(lambda: not server.open)
    assert server.requests == ["/body"]


def test_lines_of_a_body_are_read_as_they_come(start: Start) -> None:
    server = start()
    client = Client(server, POST.replace(b"body", b"lines") % 18 + b"one\ntw")

    gevent.sleep(0)
    client.send(b"o\n\nthree\nfou")

    assert client.answer(b"one\n|two\n|\n|three\n|fou")


def test_a_client_that_does_not_take_its_answer_is_dropped(start: Start) -> None:
    # All of it may take minutes at this rate, and each part of it a second.
    server = start(head_seconds=SOON, min_rate=100_000)

    client = Client(server, GET.replace(b"plain", b"big"))

    eventually(lambda: server.requests and not server.open)
    client.socket.close()


@pytest.fixture(scope="module")
def tls_contexts(certificate: Any) -> tuple[Any, Any]:
    """For a server and a client."""
    from gevent.ssl import SSLContext

    server = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    client = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return server, client


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", GET])
def test_a_handshake_of_tls_that_does_not_come_to_its_end_closes_the_connection(
    start: Start, tls_contexts: Any, sent: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    server = start(head_seconds=SOON, ssl_context=tls_contexts[0])

    assert Client(server, sent).at_end()

    eventually(lambda: not server.open)
    assert capfd.readouterr().err == ""


def test_over_tls_a_head_has_its_time_and_a_request_is_answered(
    start: Start, tls_contexts: Any
) -> None:
    server = start(head_seconds=SOON, ssl_context=tls_contexts[0])
    client = Client(server)
    client.socket = tls_contexts[1].wrap_socket(client.socket)
    client.send(GET)
    assert client.answer(b"hello")

    client.send(GET[:5])

    assert client.at_end()


# Number.


def test_at_the_bound_the_one_that_is_silent_longest_is_closed_for_the_newcomer(
    start: Start,
) -> None:
    server = start(max_connections=3)
    oldest, second = Client(server), Client(server, GET[:10])
    eventually(lambda: server.open == 2)
    idle = Client(server, GET)
    assert idle.answer(b"hello")

    newcomer = Client(server, GET)

    assert newcomer.answer(b"hello")
    assert oldest.at_end()
    assert (second.open, idle.open) == (True, True)
    another = Client(server, GET)
    assert another.answer(b"hello")
    assert second.at_end()
    assert (idle.open, newcomer.open) == (True, True)
    assert Client(server, GET).answer(b"hello")
    assert idle.at_end()
    assert server.open == 3


def test_with_nothing_but_silent_connections_at_once_a_request_is_answered(start: Start) -> None:
    server = start(max_connections=20)
    silent = [Client(server, GET[:number]) for number in range(30)]

    assert Client(server, GET).answer(b"hello")

    eventually(lambda: server.open == 20)
    assert sum(client.open for client in silent) == 19


@pytest.mark.parametrize("under_way", [GET.replace(b"plain", b"held"), POST % 5])
def test_a_request_under_way_is_never_closed_for_a_newcomer(start: Start, under_way: bytes) -> None:
    server = start(max_connections=2)
    busy = [Client(server, under_way) for _ in range(2)]
    eventually(lambda: len(server.requests) == 2)

    for _ in range(5):
        assert Client(server, GET).answer(b"hello")
    assert [client.open for client in busy] == [True, True]
    server.let_go.set()
    for client in busy:
        if under_way.startswith(b"POST"):
            client.send(b"12345")

    body = b"5" if under_way.startswith(b"POST") else b"hello"
    assert [client.answer(body) for client in busy] == [True, True]


def test_at_the_bound_of_one_client_it_is_one_of_its_own_that_is_closed(start: Start) -> None:
    server = start(max_client_connections=2, client_of=str)
    other = Client(server, source="127.0.0.2")
    eventually(lambda: server.open == 1)
    oldest, second = Client(server), Client(server, GET[:10])
    eventually(lambda: server.open == 3)

    assert Client(server, GET).answer(b"hello")

    assert oldest.at_end()
    assert (other.open, second.open) == (True, True)


def test_a_client_with_requests_under_way_on_all_it_may_have_gets_no_more(start: Start) -> None:
    server = start(max_client_connections=2, client_of=str)
    busy = [Client(server, GET.replace(b"plain", b"held")) for _ in range(2)]
    eventually(lambda: len(server.requests) == 2)

    assert Client(server).at_end()

    assert Client(server, GET, source="127.0.0.2").answer(b"hello")
    server.let_go.set()
    assert [client.answer(b"hello") for client in busy] == [True, True]
    for client in busy:
        client.socket.close()
    eventually(lambda: server.open == 1)
    assert Client(server, GET).answer(b"hello")


def test_websockets_are_outside_of_the_bound(start: Start) -> None:
    server = start(max_connections=2)
    members = [connect(server.port, request(path="/ws")) for _ in range(5)]

    silent = [Client(server) for _ in range(3)]
    assert Client(server, GET).answer(b"hello")

    assert silent[0].at_end()
    assert len(server.connections) == 5
    for member in members:
        member.send(client_frame(b"still here"))
        member.close()


# Noise.


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)) + b"\n",
        b"GET / HTTP/1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"GET / %s/1.1\r\n\r\n",
        b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /body HTTP/1.1\r\nContent-Length: 100\r\n\r\n[",
        b"GET / HTTP/1.1\r\nHo",
        b"\0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("leave", ["close", "reset"])
def test_what_a_client_sends_or_breaks_off_is_no_error_of_the_server(
    start: Start,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    sent: bytes,
    leave: str,
) -> None:
    caplog.set_level(logging.INFO)
    server = start()
    client = Client(server, sent)
    assert Client(server, GET).answer(b"hello"), "and it was accepted before"

    if leave == "reset":
        linger = struct.pack("ii", 1, 0)
        client.socket.setsockopt(names.SOL_SOCKET, names.SO_LINGER, linger)
    client.socket.close()

    eventually(lambda: server.open == 1)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    assert capfd.readouterr().err == ""
