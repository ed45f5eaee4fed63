"""The head of a request: what RFC 9112 says must be refused is, and nothing that people send."""

import io
from collections.abc import Iterator

import pytest
from gevent import pywsgi, socket

from capnweb_sync.server import HttpServer
from capnweb_sync.server.http_head import MAX_HEAD, BadHead, HeadTooLarge, read_fields

from .waiting import DEADLINE

GET = b"GET / HTTP/1.1"
HOST = b"Host: chat.example"

REFUSED = {
    "HTTP/0.9": [b"GET /"],
    "HTTP/2.0": [b"GET / HTTP/2.0", HOST],
    "lower case": [b"GET / http/1.1", HOST],
    "two spaces": [b"GET  / HTTP/1.1", HOST],
    "a tab": [b"GET\t/ HTTP/1.1", HOST],
    "a space behind": [b"GET / HTTP/1.1 ", HOST],
    "a space in the target": [b"GET /a b HTTP/1.1", HOST],
    "a control character in the target": [b"GET /\x01 HTTP/1.1", HOST],
    "no method": [b"G(T / HTTP/1.1", HOST],
    "nothing": [b"", HOST],
    "a bare CR": [b"GET /\rX: y HTTP/1.1", HOST],
    "no Host": [GET],
    "two Hosts": [GET, HOST, HOST],
    "two Hosts in HTTP/1.0": [b"GET / HTTP/1.0", HOST, HOST],
    "a Host with a path": [GET, b"Host: chat.example/x"],
    "a Host with a user": [GET, b"Host: me@chat.example"],
    "two Hosts in one": [GET, b"Host: a, b"],
    "a space before the first field": [GET, b" X: y", HOST],
    "a line that goes on": [GET, HOST, b"X: y", b" z"],
    "a space before the colon": [GET, b"Host : chat.example"],
    "no colon": [GET, HOST, b"X"],
    "no name": [GET, HOST, b": y"],
    "a control character in a name": [GET, HOST, b"X\x00: y"],
    "a control character in a value": [GET, HOST, b"X: y\x00"],
    "a bare CR in a value": [GET, HOST, b"X: y\rContent-Length: 5"],
    "both lengths": [GET, HOST, b"Content-Length: 5", b"Transfer-Encoding: chunked"],
    "two lengths": [GET, HOST, b"Content-Length: 5", b"Content-Length: 5"],
    "two lengths in one": [GET, HOST, b"Content-Length: 5, 5"],
    "a length with a sign": [GET, HOST, b"Content-Length: +49"],
    "a negative length": [GET, HOST, b"Content-Length: -1"],
    "an underscore in a length": [GET, HOST, b"Content-Length: 1_0"],
    "a length in hex": [GET, HOST, b"Content-Length: 0x10"],
    "an empty length": [GET, HOST, b"Content-Length:"],
    "a huge length": [GET, HOST, b"Content-Length: 1" + 30 * b"0"],
    "another coding": [GET, HOST, b"Transfer-Encoding: gzip, chunked"],
    "chunked before another": [GET, HOST, b"Transfer-Encoding: chunked, gzip"],
    "chunked twice": [GET, HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
    "identity": [GET, HOST, b"Transfer-Encoding: identity"],
    "chunked in HTTP/1.0": [b"GET / HTTP/1.0", b"Transfer-Encoding: chunked"],
}

ACCEPTED = {
    "plain": [GET, HOST],
    "a port": [GET, b"Host: 127.0.0.1:8080"],
    "IPv6": [GET, b"Host: [2001:db8::1]:8080"],
    "an underscore": [GET, b"Host: my_host"],
    "an empty Host": [GET, b"Host:"],
    "HTTP/1.0": [b"GET / HTTP/1.0"],
    "an absolute target": [b"GET http://chat.example/ HTTP/1.1", HOST],
    "no ASCII": ["GET /grüße HTTP/1.1".encode(), HOST, "X: grüße".encode()],
    "an empty value": [GET, HOST, b"X:"],
    "spaces and tabs": [GET, b"Host: \tchat.example \t", b"X: a\tb  c"],
    "a length": [b"POST / HTTP/1.1", HOST, b"Content-Length: 0"],
    "chunked": [b"POST / HTTP/1.1", HOST, b"Transfer-Encoding: Chunked"],
    "another method": [b"X-MY / HTTP/1.1", HOST],
    "the same field again": [GET, HOST, b"Accept: a", b"Accept: b"],
}


def read(lines: list[bytes], end: bytes = b"\r\n") -> bytes:
    """The fields of a head of these lines."""
    head = io.BytesIO(end.join([*lines, b"", b""]))
    return read_fields(head.readline(), head.readline)


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_be_refused_is(name: str) -> None:
    with pytest.raises(BadHead):
        read(REFUSED[name])


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("name", ACCEPTED)
def test_what_people_send_is_taken(name: str, end: bytes) -> None:
    lines = ACCEPTED[name]

    assert read(lines, end) == end.join([*lines[1:], b"", b""])


@pytest.mark.parametrize("field", [b"X: " + MAX_HEAD * b"x", b"X: y\r\n" * (MAX_HEAD // 6)])
def test_a_head_is_bounded_as_a_whole(field: bytes) -> None:
    with pytest.raises(HeadTooLarge):
        read([GET, HOST, field])


def test_a_large_head_is_taken() -> None:
    read([GET, HOST, b"X: " + (MAX_HEAD - 100) * b"x"])


@pytest.mark.parametrize("rest", [b"", b"Host: chat", b"Host: chat.example\r\n"])
def test_a_connection_that_ends_within_a_head_is_lost(rest: bytes) -> None:
    with pytest.raises(ConnectionError):
        read_fields(GET + b"\r\n", io.BytesIO(rest).readline)


# --- on the wire


@pytest.fixture
def port() -> Iterator[int]:
    """A server whose answers are the bodies of the requests."""

    def application(environ: dict[str, object], start_response: object) -> list[bytes]:
        start_response("200 OK", [])  # type: ignore[operator]
        return [b"body: " + environ["wsgi.input"].read()]  # type: ignore[attr-defined]

    server: pywsgi.WSGIServer = HttpServer(("127.0.0.1", 0), application, log=None)
    server.start()
    yield server.server_port or 0
    server.stop(timeout=1)


def answer(port: int, request: bytes) -> bytes:
    """Everything that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_a_400_and_the_end_of_the_connection(port: int, name: str) -> None:
    head = b"\r\n".join([*REFUSED[name], b"", b""])

    answered = answer(port, head + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answered.startswith(b"HTTP/1.1 400 ")
    assert answered.count(b"HTTP/1.1 ") == 1


def test_a_head_that_is_too_large_is_a_431(port: int) -> None:
    head = GET + b"\r\n" + HOST + b"\r\n" + 10 * (b"X: " + 7000 * b"x" + b"\r\n")

    assert answer(port, head).startswith(b"HTTP/1.1 431 ")


def test_bodies_and_the_requests_behind_them_are_read_where_they_end(port: int) -> None:
    posts = (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
        b"\r\n"  # as some clients end a body
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )

    answered = answer(port, posts)

    assert answered.count(b"HTTP/1.1 200 OK") == 3
    assert [part in answered for part in (b"body: one", b"body: two")] == [True, True]
