"""What the server says over HTTP, and who may not become a WebSocket."""

import base64
import http.client
import json
import os
import signal
import socket
import sys

import pytest

from tests.chatserver.conftest import Connect
from tests.conftest import StartProcess, StartServer
from tests.processes import ServerProcess, free_port, wait_until

Answer = tuple[int, dict[str, str], str]

FORWARDED = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "chat.example",
    "X-Forwarded-Prefix": "/chat",
}
"""What a proxy says of a client that has asked it for https://chat.example/chat/."""


def get(
    address: tuple[str, int], path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> Answer:
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        lowered = {name.lower(): value for name, value in response.getheaders()}
        # A connection that was upgraded has no end to read to.
        body = "" if response.status == 101 else response.read().decode()
        return response.status, lowered, body
    finally:
        connection.close()


def upgrade(address: tuple[str, int], path: str = "/rpc/ws", **headers: str) -> Answer:
    return get(
        address,
        path,
        {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **headers,
        },
    )


def test_a_plain_request_to_the_websocket_is_told_to_upgrade(shared_server: ServerProcess) -> None:
    status, headers, body = get(shared_server.address, "/rpc/ws")

    assert status == 426
    assert headers["upgrade"] == "websocket"
    assert "WebSocket" in body


def test_an_upgrade_elsewhere_is_not_found(shared_server: ServerProcess) -> None:
    for path in ("/", "/healthz", "/rpc", "/rpc/ws/more"):
        assert upgrade(shared_server.address, path)[0] == 404


def test_an_upgrade_with_a_bad_key_is_a_bad_request(shared_server: ServerProcess) -> None:
    status, _, body = upgrade(shared_server.address, **{"Sec-WebSocket-Key": "short"})

    assert status == 400
    assert "Sec-WebSocket-Key" in body


def test_the_start_page_says_how_to_connect(shared_server: ServerProcess) -> None:
    status, headers, body = get(shared_server.address, "/")

    assert status == 200
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert shared_server.url in body
    assert "newWebSocketRpcSession" in body


def test_a_proxy_is_believed_if_the_server_is_told_so(start_server: StartServer) -> None:
    server = start_server("--trust-proxies", "1")

    _, _, page = get(server.address, "/", FORWARDED)
    _, _, misled = upgrade(server.address, "/", **FORWARDED)

    assert "wss://chat.example/chat/rpc/ws\n" in page
    assert "/chat/rpc/ws" in misled
    assert upgrade(server.address, Origin="https://chat.example", **FORWARDED)[0] == 101
    assert upgrade(server.address, Origin=server.http_url, **FORWARDED)[0] == 403


def test_the_words_of_a_client_in_front_of_the_proxy_are_not_believed(
    start_server: StartServer,
) -> None:
    server = start_server("--trust-proxies", "1")
    said_by_both = {name: f"/evil, {value}" for name, value in FORWARDED.items()}

    _, _, page = get(server.address, "/", said_by_both)

    assert "wss://chat.example/chat/rpc/ws\n" in page


def test_by_default_nobody_is_believed_about_the_host_and_the_prefix(
    shared_server: ServerProcess,
) -> None:
    host, port = shared_server.address

    _, _, page = get(shared_server.address, "/", FORWARDED)

    # TLS is: the page is shown to nobody else.
    assert f"wss://{host}:{port}/rpc/ws\n" in page


def test_the_start_page_of_a_mounted_application_says_where_it_is(
    start_process: StartProcess,
) -> None:
    port = free_port()
    program = (
        "from gevent import monkey; monkey.patch_all();"
        "from werkzeug.middleware.dispatcher import DispatcherMiddleware;"
        f"app = DispatcherMiddleware(lambda e, s: [], {{'/chat': {APP}}});"
        "from capnweb_sync.server import HttpServer;"
        f"server = HttpServer(('127.0.0.1', {port}), app); server.start();"
        "print('ready', flush=True); server.serve_forever()"
    )
    start_process(sys.executable, "-c", program, ready="ready")

    _, _, page = get(("127.0.0.1", port), "/chat/")

    assert f"ws://127.0.0.1:{port}/chat/rpc/ws\n" in page
    assert upgrade(("127.0.0.1", port), "/chat/rpc/ws")[0] == 101


def test_anything_else_is_not_found(shared_server: ServerProcess) -> None:
    status, headers, body = get(shared_server.address, "/favicon.ico")

    assert (status, headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert "not found" in body
    assert get(shared_server.address, "/rpc/ws", method="PUT")[0] == 405


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_ok_while_it_is(shared_server: ServerProcess, path: str) -> None:
    status, _, body = get(shared_server.address, path)

    assert status == 200
    assert json.loads(body)["status"] == "ok"


def test_a_server_that_is_full_is_alive_and_wants_nobody(
    start_server: StartServer, connect: Connect
) -> None:
    server = start_server("--max-connections", "1")
    connect(server.url).call("listUsers")

    assert get(server.address, "/healthz")[0] == 200
    status, _, body = get(server.address, "/readyz")

    assert (status, json.loads(body)["status"]) == (503, "full")


def test_a_server_that_drains_is_alive_and_wants_nobody(start_server: StartServer) -> None:
    server = start_server("--drain-seconds", "20")
    with socket.create_connection(server.address, timeout=20) as client:
        key = base64.b64encode(bytes(16)).decode()
        client.sendall(
            b"GET /rpc/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        probe = http.client.HTTPConnection(*server.address, timeout=20)

        def status(path: str) -> int:
            probe.request("GET", path)
            response = probe.getresponse()
            response.read()
            return response.status

        assert status("/readyz") == 200
        server.signal(signal.SIGTERM)
        assert client.recv(2) == b"\x88\x1b"
        assert (status("/healthz"), status("/readyz")) == (200, 503)
        probe.close()


def test_a_page_of_this_site_may_connect_and_one_of_another_may_not(
    shared_server: ServerProcess,
) -> None:
    host, port = shared_server.address

    for origin in (None, f"http://{host}:{port}", f"HTTPS://{host}:{port}"):
        headers = {} if origin is None else {"Origin": origin}
        assert upgrade(shared_server.address, **headers)[0] == 101
    for origin in ("https://evil.example", f"http://{host}", f"http://{host}:{port}.evil", "null"):
        status, _, body = upgrade(shared_server.address, Origin=origin)
        assert status == 403
        assert "--allow-origin" in body


def test_other_sites_may_connect_when_they_are_allowed(start_server: StartServer) -> None:
    server = start_server(
        "--allow-origin", "https://chat.example", "--allow-origin", "http://localhost:3000"
    )

    for origin in ("https://chat.example", "http://localhost:3000"):
        assert upgrade(server.address, Origin=origin)[0] == 101
    assert upgrade(server.address, Origin="http://chat.example")[0] == 403


def test_pages_without_a_site_may_connect_when_they_are_allowed(start_server: StartServer) -> None:
    server = start_server(env={"CHAT_ALLOW_ORIGIN": "null,file://"})

    for origin in ("null", "file://"):
        assert upgrade(server.address, Origin=origin)[0] == 101
    assert upgrade(server.address, Origin="https://evil.example")[0] == 403


def test_any_site_may_connect_when_the_environment_says_so(start_server: StartServer) -> None:
    server = start_server(env={"CHAT_ALLOW_ORIGIN": "*"})

    assert upgrade(server.address, Origin="https://any.example")[0] == 101


def test_one_connection_too_many_gets_503_until_there_is_room(
    start_server: StartServer, connect: Connect
) -> None:
    server = start_server("--max-connections", "2")
    first, second = connect(server.url), connect(server.url)
    assert second.call("listUsers") == []

    status, headers, body = upgrade(server.address)

    assert status == 503
    assert headers["retry-after"]
    assert "full" in body
    first.close()
    wait_until(lambda: upgrade(server.address)[0] == 101)


APP = "__import__('chatserver').create_app({'STORE': 'memory:'})"

SERVERS = {
    "wsgiref": "from wsgiref.simple_server import make_server as m; m('127.0.0.1', PORT, APP)",
    "gevent": "from gevent.pywsgi import WSGIServer as m; m(('127.0.0.1', PORT), APP)",
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_without_websocket_says_how_to_start_one(
    start_process: StartProcess, server: str
) -> None:
    port = free_port()
    program = SERVERS[server].replace("PORT", str(port)).replace("APP", APP)
    start_process(sys.executable, "-c", f"{program}.serve_forever()")

    def listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listening)
    status, _, body = upgrade(("127.0.0.1", port))

    assert status == 501
    assert "python -m chatserver" in body
    assert "gunicorn" in body
    assert get(("127.0.0.1", port), "/rpc/ws")[0] == 501
    assert get(("127.0.0.1", port), "/healthz")[0] == 200


def test_bad_requests_do_not_flood_the_log(start_server: StartServer) -> None:
    server = start_server("--log-level", "INFO")

    for _ in range(30):
        with socket.create_connection(server.address, timeout=20) as client:
            client.sendall(b"nonsense\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 400")
    server.terminate()

    assert "\n".join(server.error_lines).count("Invalid request") == 10
