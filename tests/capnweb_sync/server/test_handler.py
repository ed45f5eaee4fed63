"""The handler: the route decides, and the connection outlives the request."""

import gc
import ssl
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from flask import Flask, Response, has_request_context
from flask import request as flask_request
from gevent import pywsgi, socket
from werkzeug.middleware.proxy_fix import ProxyFix

from capnweb_sync.server import Connection, Connections, WebSocketHandler, upgrade

from .conftest import NO_PINGS, Open, Serve
from .frame_building import client_close, client_frame
from .serving import Client, RecordingSession, Server, connect, request
from .waiting import eventually


class Tracked:
    """Something that a request holds; it can be referred to weakly."""


@pytest.fixture
def no_garbage_collector() -> Any:
    """Things must be freed by their reference counts alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class TrackingHandler(WebSocketHandler):
    """Notes each handler, and puts something into its environ, that both may be watched."""

    handlers: list[weakref.ref[Any]]
    tracked: list[weakref.ref[Tracked]]

    def get_environ(self) -> dict[str, Any]:
        environ = super().get_environ()
        environ["tracked"] = tracked = Tracked()
        self.tracked.append(weakref.ref(tracked))
        self.handlers.append(weakref.ref(self))
        return environ


def serve_tracked(application: Callable[..., Any]) -> tuple[pywsgi.WSGIServer, int, Any]:
    """The server, its port, and the class of its handlers."""
    handler = type("Handler", (TrackingHandler,), {"handlers": [], "tracked": []})
    server = pywsgi.WSGIServer(
        ("127.0.0.1", 0), application, handler_class=handler, log=None, error_log=None
    )
    server.start()
    assert server.server_port is not None
    return server, server.server_port, handler


@pytest.mark.usefixtures("no_garbage_collector")
def test_handler_and_environ_are_gone_when_the_connection_runs() -> None:
    connections = Connections()
    alive: list[bool] = []

    def on_connection(connection: Connection) -> RecordingSession:
        alive.extend(ref() is not None for ref in (handler.handlers[0], handler.tracked[0]))
        return RecordingSession(connection)

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        _, headers = upgrade(environ, connections, on_connection)
        start_response("101 Switching Protocols", headers)
        return []

    server, port, handler = serve_tracked(application)
    client = connect(port)
    eventually(lambda: alive)
    client.close()
    server.stop()

    assert alive == [False, False]


@pytest.mark.usefixtures("no_garbage_collector")
def test_a_request_of_flask_and_its_context_are_gone_when_the_connection_runs() -> None:
    connections = Connections()
    app = Flask(__name__)
    requests: list[weakref.ref[Any]] = []
    alive: list[bool] = []

    def on_connection(connection: Connection) -> RecordingSession:
        references = (*requests, handler.handlers[0], handler.tracked[0])
        alive.extend(reference() is not None for reference in references)
        assert not has_request_context()
        return RecordingSession(connection)

    @app.route("/", websocket=True)
    def route() -> Response:
        requests.append(weakref.ref(flask_request._get_current_object()))  # type: ignore[attr-defined]
        status, headers = upgrade(flask_request.environ, connections, on_connection)
        return Response(status=status, headers=headers)

    server, port, handler = serve_tracked(app)
    client = connect(port)
    eventually(lambda: alive)
    client.close()
    server.stop()

    assert client.status == 101
    assert alive == [False, False, False]


def test_an_upgrade_of_an_unknown_path_is_the_applications_404() -> None:
    app = Flask(__name__)
    server, port, _ = serve_tracked(app)

    client = connect(port, request(path="/nowhere"))
    client.socket.close()
    server.stop()

    assert client.status == 404


def test_requests_without_an_upgrade_are_served_and_kept_alive() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    server, port, _ = serve_tracked(application)
    plain = b"GET /%s HTTP/1.1\r\nHost: test\r\n\r\n"
    client = connect(port, plain % b"one")
    assert client._take(4) == b"/one"
    client.send(plain % b"two")

    assert b"200" in client._read_until(b"\r\n\r\n")
    assert client._take(4) == b"/two"
    client.socket.close()
    server.stop()


def test_an_upgrade_may_follow_a_plain_request_on_the_same_connection(
    serve: Serve,
) -> None:
    server = serve()
    client = connect(server.port, request(Upgrade=None))
    assert client.status == 426
    client._take(int(client.head.lower().split("content-length: ")[1].split()[0]))

    client.send(request() + client_frame(b"hello"))

    assert client._read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101")
    eventually(lambda: server.sessions and server.sessions[0].messages == ["hello"])
    client.close()


def test_a_route_that_accepts_and_then_fails_gives_its_room_back(serve: Serve) -> None:
    server = serve(max_connections=1)
    accept = server.application

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        accept(environ, lambda status, headers: None)
        start_response("500 Internal Server Error", [])
        return [b"changed its mind"]

    server._server.application = application
    client = connect(server.port)
    client.socket.close()

    assert client.status == 500
    eventually(lambda: not server.connections.full)
    assert server.sessions == []


def test_a_peer_that_is_gone_before_the_answer_gives_its_room_back(serve: Serve) -> None:
    server = serve(max_connections=1)
    accept = server.application
    gone = gevent.event.Event()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        answer = accept(environ, start_response)
        gone.wait(5)
        return answer

    server._server.application = application
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.sendall(request())
    eventually(lambda: server.connections.full)
    sock.close()
    gone.set()

    eventually(lambda: not server.connections.full)


@pytest.mark.parametrize(("proxies", "host"), [(0, "127.0.0.1"), (1, "192.0.2.1")])
def test_the_address_of_a_connection_is_the_clients_if_the_application_believes_its_proxy(
    serve: Serve, proxies: int, host: str
) -> None:
    server = serve()
    server._server.application = ProxyFix(server.application, x_for=proxies)

    client = connect(server.port, request(X_Forwarded_For="203.0.113.9, 192.0.2.1"))
    eventually(lambda: server.sessions)

    address = server.sessions[0].connection.remote_address
    assert address[0] == host
    assert (address[1] == 0) == (proxies == 1)
    client.close()


def test_stopping_the_server_leaves_connections_that_outlived_their_requests(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)

    server._server.stop(timeout=1)
    client.send_text("still open")

    eventually(lambda: server.sessions[0].messages == ["still open"])


def test_a_unix_socket_serves_websockets_too(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        server = Server(Connections(), listener=listener)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            client = Client(sock, request(), early=client_frame(b"hello"))
            eventually(lambda: server.sessions and server.sessions[0].messages == ["hello"])
            client.close()
        server.stop()


# TLS.


@pytest.fixture
def tls(certificate: Path) -> Any:
    """A server with TLS, and how to connect to it."""
    from gevent.ssl import SSLContext

    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(
        Connections(ping_interval=NO_PINGS, close_timeout=0.2, max_buffered=100_000),
        ssl_context=context,
    )
    clients: list[Client] = []

    def open_tls(early: bytes = b"") -> Client:
        client_context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client_context.check_hostname = False
        client_context.verify_mode = ssl.CERT_NONE
        sock = socket.create_connection(("127.0.0.1", server.port))
        client = Client(client_context.wrap_socket(sock), request(), early=early)
        clients.append(client)
        return client

    yield server, open_tls
    for client in clients:
        client.socket.close()
    server.stop()


def test_over_tls_messages_arrive_in_both_directions(tls: Any) -> None:
    server, open_tls = tls
    client = open_tls(early=client_frame(b"early"))
    big = "x" * 300_000

    client.send_text(big)
    eventually(lambda: len(server.sessions) == 1 and len(server.sessions[0].messages) == 2)
    server.sessions[0].send(big)

    assert server.sessions[0].messages == ["early", big]
    assert client.text() == big


def test_over_tls_the_closing_handshake_is_complete(tls: Any) -> None:
    server, open_tls = tls
    client = open_tls()

    client.send(client_close(1000, b"done"))

    assert client.close_frame() == (1000, "done")
    assert client.at_end()
    client.socket.close()
    eventually(lambda: not len(server.connections))
    assert server.sessions[0].lost == [(1000, "done")]


def test_over_tls_a_lost_peer_is_noticed(tls: Any) -> None:
    server, open_tls = tls
    client = open_tls()
    eventually(lambda: server.sessions)

    client.socket.close()

    eventually(lambda: not len(server.connections))
    assert server.sessions[0].lost[0][0] == 1006


def test_over_tls_a_peer_that_reads_nothing_is_dropped_with_1013(tls: Any) -> None:
    server, open_tls = tls
    open_tls()
    eventually(lambda: server.sessions)
    session = server.sessions[0]

    def fill() -> bool:
        for _ in range(50):
            session.send("x" * 1000)
        return not len(server.connections)

    eventually(fill)
    eventually(lambda: session.lost)
    assert session.lost[0][0] == 1013


def test_over_tls_pings_that_end_connections_reach_all_others(tls: Any) -> None:
    server, open_tls = tls
    open_tls()
    open_tls()
    eventually(lambda: len(server.sessions) == 2)
    connections = server.connections
    # Both in the place that the next tick pings, and with more waiting than may.
    next_place = (connections._place + 1) % len(connections._ring)
    for session in server.sessions:
        connection = session.connection
        connections._ring[connection.ring_place].discard(connection)
        connections._ring[next_place].add(connection)
        connection.ring_place = next_place
        session.send("x" * 200_000)

    connections._tick()

    assert not len(connections)
    eventually(lambda: all(session.lost for session in server.sessions))
    assert [session.lost[0][0] for session in server.sessions] == [1013, 1013]


def test_over_tls_the_server_keeps_no_greenlet_for_a_connection(tls: Any) -> None:
    server, open_tls = tls
    open_tls()
    eventually(lambda: server.sessions)

    parked = [
        thing
        for thing in gc.get_objects()
        if isinstance(thing, gevent.Greenlet) and not thing.dead and "handle" in repr(thing)
    ]

    assert parked == []
