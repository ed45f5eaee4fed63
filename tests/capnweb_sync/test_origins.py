"""Which web pages may use a server, and that `serve()` asks for both of its ways in."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from gevent import pywsgi
from werkzeug.test import Client

from capnweb_sync import RpcTarget, serve
from capnweb_sync.origins import Origins, parse_origin
from capnweb_sync.server import WebSocketHandler
from capnweb_sync.server.handshake import UPGRADE_KEY, Upgrade

from .server.serving import REQUEST_HEADERS, connect
from .server.waiting import eventually

OWN = "http://chat.example:8080"
FOREIGN = "https://evil.example"

BATCH = b'["push",["pipeline",0,["greet"],["Ada"]]]\n["pull",1]'
ANSWER = b'["resolve",1,"Hello, Ada!"]'


class Greeter(RpcTarget):
    def greet(self, name: str) -> str:
        return f"Hello, {name}!"


def environ(origin: str | None, host: str = "chat.example:8080") -> dict[str, Any]:
    return {"HTTP_HOST": host} | ({} if origin is None else {"HTTP_ORIGIN": origin})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "chat.example"),
        ("http://chat.example", "chat.example"),
        ("HTTPS://Chat.example", "chat.EXAMPLE"),
        (OWN, "chat.example:8080"),
        ("https://chat.example", "chat.example:443"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_the_own_pages_and_programs_may_come_in(origin: str | None, host: str) -> None:
    assert not Origins().refuse(environ(origin, host))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://chat.example", "chat.example:8080"),
        ("http://chat.example:8080.evil", "chat.example:8080"),
        ("null", "null"),
        ("file://", ""),
        ("", ""),
        (f"{OWN},{OWN}", "chat.example:8080"),
        ("http://chat.example", "chat.example:443"),
    ],
)
def test_any_other_page_may_not(origin: str, host: str) -> None:
    assert Origins().refuse(environ(origin, host))


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ("https://page.example", "https://page.example"),
        ("https://page.example/", "https://page.example"),
        ("https://Page.example:443", "https://page.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("null", "null"),
        ("file://", "file://"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",) * 2,
        ("*", "https://any.example"),
        ("*", "null"),
    ],
)
def test_what_is_allowed_may_come_in_and_nothing_else_because_of_it(
    allowed: str, origin: str
) -> None:
    origins = Origins([allowed])

    assert not origins.refuse(environ(origin))
    assert allowed == "*" or origins.refuse(environ(FOREIGN))


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("https://*.example", "one host"),
        ("*.example", "one host"),
        ("https://page.example/path", "https://chat.example"),
        ("https://page.example?query", "https://chat.example"),
        ("https://me@page.example", "https://chat.example"),
        ("https://page.example:port", "https://chat.example"),
        ("https://page.example:70000", "https://chat.example"),
        ("https://page example", "https://chat.example"),
        ("https://[::g]", "https://chat.example"),
        ("https://", "https://chat.example"),
        ("file:///page.html", "https://chat.example"),
        ("page.example", "https://chat.example"),
        ("", "https://chat.example"),
        ("wss://page.example", "https://"),
        ("https://münchen.example", "ASCII"),
    ],
)
def test_what_can_never_be_an_origin_is_refused_with_the_reason(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^must") as refusal:
        parse_origin(pattern)

    assert why in str(refusal.value)
    with pytest.raises(ValueError, match=r"the origin '.*' must"):
        serve(Greeter, allow_origins=[pattern])


def test_one_string_is_no_list_of_origins() -> None:
    with pytest.raises(TypeError, match="list of strings"):
        serve(Greeter, allow_origins="https://page.example")


def test_a_batch_from_a_foreign_page_is_refused_before_anything_runs() -> None:
    client = Client(serve(Greeter))

    refused = client.post("/", data=BATCH, headers={"Origin": FOREIGN})
    answers = [client.post("/", data=BATCH, headers={"Origin": "http://localhost"})]
    answers.append(client.post("/", data=BATCH))

    assert refused.status_code == 403
    assert "allow_origins" in refused.text
    assert [answer.data for answer in answers] == [ANSWER, ANSWER]


def test_an_upgrade_for_a_foreign_page_is_refused() -> None:
    client = Client(serve(Greeter))

    def upgrade(origin: str) -> int:
        headers = {**REQUEST_HEADERS, "Origin": origin}
        answer = client.get("/", headers=headers, environ_overrides={UPGRADE_KEY: Upgrade()})
        return answer.status_code

    assert upgrade(FOREIGN) == 403
    assert upgrade(f"http://{REQUEST_HEADERS['Host']}") == 101


def test_the_blueprint_refuses_foreign_pages_too() -> None:
    app = Flask(__name__)
    app.register_blueprint(serve(Greeter).blueprint("/rpc"))

    answer = app.test_client().post("/rpc", data=BATCH, headers={"Origin": FOREIGN})

    assert answer.status_code == 403


def test_a_page_that_is_allowed_may_read_the_answer() -> None:
    client = Client(serve(Greeter, allow_origins=["https://page.example"]))

    answer = client.post("/", data=BATCH, headers={"Origin": "https://page.example"})

    assert answer.data == ANSWER
    assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert answer.vary.as_set() == {"origin"}


def test_one_websocket_too_many_gets_503_and_so_does_a_batch_before_the_end() -> None:
    service = serve(Greeter, max_connections=1)
    server = pywsgi.WSGIServer(
        ("127.0.0.1", 0), service, handler_class=WebSocketHandler, log=None, error_log=None
    )
    server.start()
    assert server.server_port
    first = connect(server.server_port)

    refused = connect(server.server_port)
    refused.socket.close()
    first.close()
    eventually(lambda: not service.connections.full)
    admitted = connect(server.server_port)
    admitted.close()
    service.connections.draining = True
    late = Client(service).post("/", data=BATCH)
    server.stop()

    assert (first.status, refused.status, admitted.status) == (101, 503, 101)
    assert "retry-after: 5" in refused.head.lower()
    assert late.status_code == 503
