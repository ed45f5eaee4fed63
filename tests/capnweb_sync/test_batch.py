"""HTTP batch between a server and a client, of whom one does something else than expected."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from capnweb_sync import (
    Blob,
    Limits,
    Refused,
    RemoteError,
    RpcError,
    RpcTarget,
    SessionClosed,
    batch,
    serve,
)
from capnweb_sync.client.batch import BatchError, BatchSession
from capnweb_sync.session.batch_transport import BatchTransport
from capnweb_sync.wsgi_batch import take_lines
from tests.processes import DEADLINE, Process, Processes, wait_until

from .batch_server import MAX_BATCH, Api

READY = r"^ready http://127\.0\.0\.1:(\d+)$"

ECHO = ["push", ["pipeline", 0, ["echo"], ["hi"]]]
PULL = ["pull", 1]
ANSWER = b'["resolve",1,"hi"]'


def lines(*messages: Any) -> bytes:
    return b"\n".join(json.dumps(message).encode() for message in messages)


class Server:
    """The server of `batch_server.py`, spoken to byte by byte."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.port = int(process.wait_for_line(READY)[1])
        self.url = f"http://127.0.0.1:{self.port}/rpc"

    def send(self, headers: str, body: bytes) -> tuple[int, bytes]:
        """Send a request, and then nothing more; the status and the body of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE) as sock:
            head = f"POST /rpc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n\r\n"
            sock.sendall(head.encode("latin-1") + body)
            sock.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            return answer.status, answer.read()

    def post(self, body: bytes) -> tuple[int, bytes]:
        return self.send(f"Content-Length: {len(body)}", body)

    @property
    def complaints(self) -> list[str]:
        """What it has written of failures."""
        return [line for line in self._process.error_lines if "Traceback" in line]


@pytest.fixture(scope="module", params=["werkzeug", "gevent"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    module = "tests.capnweb_sync.batch_server"
    with Processes() as processes:
        yield Server(processes.add(Process([sys.executable, "-m", module, request.param])))


@pytest.mark.parametrize(
    "body",
    [
        lines(ECHO, PULL),
        lines(ECHO, PULL) + b"\n",
        lines(ECHO, PULL).replace(b"\n", b"\r\n") + b"\r\n",
        lines(ECHO, PULL).ljust(MAX_BATCH),
    ],
    ids=["plain", "newline", "crlf", "full"],
)
def test_lines_may_end_as_they_like(server: Server, body: bytes) -> None:
    assert server.post(body) == (200, ANSWER)


def test_an_empty_batch_has_an_empty_answer(server: Server) -> None:
    assert server.post(b"") == (200, b"")
    assert server.send("X-Nothing: at all", b"") == (200, b"")


@pytest.mark.parametrize("line", [b"{", b"", b'"\xff"', b"[]"], ids=repr)
def test_a_bad_line_aborts_the_batch(server: Server, line: bytes) -> None:
    status, answer = server.post(lines(ECHO, PULL) + b"\n" + line + b"\n" + lines(ECHO))
    assert status == 200
    assert json.loads(answer.splitlines()[-1])[0] == "abort"


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


CHUNKED = "Transfer-Encoding: chunked"


def test_a_batch_may_come_in_chunks(server: Server) -> None:
    body = lines(ECHO, PULL)
    assert server.send(CHUNKED, chunked(body[:10], body[10:])) == (200, ANSWER)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (f"Content-Length: {MAX_BATCH + 1}", b"x" * (MAX_BATCH + 1)),
        ("Content-Length: 1000000000000", b"x"),
        (CHUNKED, chunked(*[b"x" * 10_000] * 20)),
    ],
    ids=["length", "announced", "chunks"],
)
def test_a_batch_beyond_the_bound_is_refused(server: Server, headers: str, body: bytes) -> None:
    status, sentence = server.send(headers, body)
    assert (status, sentence) == (
        413,
        b"A batch has %d bytes at most; max_batch of serve() takes more.\n" % MAX_BATCH,
    )


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Length: 1000", lines(ECHO, PULL)),
        ("Content-Length: \xb2", b"xx"),
        ("Content-Length: -2", b"xx"),
        (f"Content-Length: {'9' * 5_000}", b"x"),
        (CHUNKED, chunked(lines(ECHO, PULL))[:-8]),
        (CHUNKED, b"nonsense\r\n"),
    ],
    ids=["half", "no-number", "negative", "no-length", "half-chunk", "no-chunk"],
)
def test_a_broken_body_is_refused_and_nothing_of_it_is_run(
    server: Server, headers: str, body: bytes
) -> None:
    status, _ = server.send(headers, body)
    assert status in (400, 413)
    assert server.complaints == []


def test_the_body_of_whoever_is_refused_is_not_read() -> None:
    def refuse(request: object) -> Any:
        raise Refused(401, "Who are you?")

    told: list[str] = []
    answer = serve(for_request=refuse)(
        {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "5", "wsgi.input": None},
        lambda status, headers: told.append(status),
    )

    assert (told, list(answer)) == (["401 Unauthorized"], [b"Who are you?\n"])


def test_a_batch_that_takes_too_long_is_given_up(server: Server) -> None:
    status, sentence = server.post(lines(["push", ["pipeline", 0, ["never"], []]], PULL))
    assert (status, sentence) == (504, b"The batch took longer than 0.5 s.\n")


def test_one_result_that_is_named_many_times_makes_no_endless_answer(server: Server) -> None:
    zeros = ["push", [[0] * 20_000]]
    again = [["push", ["pipeline", 1]]] * 200
    pulls = [["pull", number + 2] for number in range(200)]

    status, sentence = server.post(lines(zeros, *again, *pulls))

    assert status == 413
    assert sentence.startswith(
        b"An answer has 1000000 bytes at most: ask for less at a time, or max_answer"
    )


def test_an_answer_up_to_the_bound_is_given(server: Server) -> None:
    zeros = ["push", [[0] * 30_000]]

    status, answer = server.post(lines(zeros, ["pull", 1]))

    assert status == 200
    assert len(json.loads(answer)[2][0]) == 30_000


def test_a_batch_carries_streams_to_the_server_and_none_back(server: Server) -> None:
    status, answer = server.post(
        lines(
            ["pipe"],
            ["push", ["pipeline", 0, ["total"], [["readable", 1]]]],
            ["pull", 2],
            *[["stream", ["pipeline", 1, ["write"], [n]]] for n in (1, 2)],
            ["stream", ["pipeline", 1, ["close"], []]],
        )
    )
    assert status == 200
    assert b'["resolve",2,3]' in answer.splitlines()
    with batch(server.url) as api, pytest.raises(RemoteError, match="stream"):
        api.count().result()


@pytest.mark.parametrize(
    ("path", "call", "result"),
    [("dict", ["answer"], 42), ("function", [], 2), ("class", ["echo"], 1)],
)
def test_a_main_object_is_a_class_or_a_function_or_a_value(
    server: Server, path: str, call: list[str], result: int
) -> None:
    url = f"http://127.0.0.1:{server.port}/{path}"
    with batch(url.replace("/class", "/rpc")) as api:
        function = api[call[0]] if call else api
        answer = function(1)
    assert answer.result() == result


def test_each_batch_has_a_main_object_of_its_own(server: Server) -> None:
    for _ in range(2):
        with batch(server.url) as api:
            api.note("a note")
            notes = api.notes()
        assert notes.result() == ["a note"]


# Functions and objects in a batch: the server may call them, but gets no results.


def test_what_the_server_calls_is_called_before_the_batch_is_over(server: Server) -> None:
    heard: list[int] = []
    with batch(server.url) as api:
        told = api.tell(heard.append, 1, 2)
    assert heard == [1, 2]
    assert told.result() == "told"


def test_a_callback_may_ask_for_results_of_its_batch(server: Server) -> None:
    heard: list[Any] = []
    with batch(server.url) as api:
        echoed = api.echo("hi")
        told = api.tell(lambda value: heard.append((value, echoed.result())), 1)
    assert heard == [(1, "hi")]
    assert told.result() == "told"


def test_an_object_in_a_batch_is_called_and_then_disposed_of(server: Server) -> None:
    told: list[Any] = []

    class Listener(RpcTarget):
        def onValue(self, value: int) -> None:
            told.append(value)

        def _on_dispose(self) -> None:
            told.append("disposed of")

    with batch(server.url) as api:
        notified = api.notify(Listener(), 1)
    notified.result()
    wait_until(lambda: told == [1, "disposed of"], message="it is disposed of")


@pytest.mark.parametrize("ask", ["ask", "passOn"])
def test_a_server_that_waits_for_the_client_of_a_batch_is_told_at_once_that_it_would_never_end(
    server: Server, ask: str
) -> None:
    asked: list[str] = []
    with batch(server.url) as api:
        answer = api[ask](lambda: asked.append(ask))
    with pytest.raises(RemoteError, match=r"gives no results\. .* by a connection: connect\(\)"):
        answer.result()
    assert asked == [ask]


def test_what_came_in_a_batch_is_dead_once_it_is_over(server: Server) -> None:
    with batch(server.url) as api:
        kept = api.keep(print)
    kept.result()
    with batch(server.url) as api:
        called = api.callKept()
    with pytest.raises(RemoteError, match=r"The batch is over, .*connection: connect\(\)"):
        called.result()


# The client, and servers that are none.


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Start a server that answers its only request with these bytes; its URL."""
    listeners: list[socket.socket] = []

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(DEADLINE)
        listeners.append(listener)

        def serve() -> None:
            with listener.accept()[0] as sock:
                request = b""
                while not request.endswith((b'["pull",1]', b'["pull",2]')):
                    request += sock.recv(65536)
                sock.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    for listener in listeners:
        listener.close()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        OK + b"A: b\r\n" * 200 + b"\r\n",
        OK + b"Content-Length: 100\r\n\r\n" + ANSWER,
        OK + b"Transfer-Encoding: chunked\r\n\r\n12\r\n" + ANSWER[:10],
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Content-Length: 3000\r\n\r\n" + b"x" * 3000,
        b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
        b"HTTP/1.1 307 Elsewhere\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=[
        "nothing",
        "nonsense",
        "headers",
        "half",
        "half-chunk",
        "no-chunk",
        "long",
        "500",
        "redirect",
    ],
)
def test_what_is_no_answer_is_a_batch_error(
    answering: Callable[[bytes], str], answer: bytes
) -> None:
    session = batch(answering(answer), limits=Limits(max_message_size=1000))
    promise = session.main.echo("hi")
    with pytest.raises(BatchError):
        promise.result()
    with pytest.raises(SessionClosed):
        promise.result()


@pytest.mark.parametrize(
    ("kind", "told"), [("text/plain", "500. <p>Sorry</p>"), ("text/html; charset=utf-8", "500.")]
)
def test_a_page_is_not_told_as_a_sentence(
    answering: Callable[[bytes], str], kind: str, told: str
) -> None:
    head = f"HTTP/1.1 500 Sorry\r\nContent-Type: {kind}\r\nContent-Length: 12\r\n\r\n"
    session = batch(answering(head.encode() + b"<p>Sorry</p>"))
    with pytest.raises(BatchError) as raised:
        session.main.echo("hi").result()
    assert str(raised.value) == f"The server answered {told}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}/", "file:///etc/passwd", "http://["])
def test_a_redirect_is_told_and_nothing_is_sent_there(
    answering: Callable[[bytes], str], status: int, location: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        location = location.format(port=elsewhere.getsockname()[1])
        answer = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        session = batch(answering(answer.encode()), headers={"Authorization": "secret"})
        promise = session.main.echo("hi")
        with pytest.raises(BatchError) as raised:
            promise.result()
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
    assert raised.value.status == status
    assert f"{status}. It points to {location!r}" in str(raised.value)


def test_what_was_not_answered_fails_alone(answering: Callable[[bytes], str]) -> None:
    with batch(answering(OK + b"\r\n" + ANSWER + b"\r\n")) as api:
        first, second = api.echo("hi"), api.echo("ho")
    assert first.result() == "hi"
    with pytest.raises(SessionClosed):
        second.result()


def test_of_two_threads_that_wait_at_once_one_sends_the_batch(
    answering: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)

    class Looked:
        """Whether it was sent: two threads look at the same moment, where they can."""

        def __get__(self, session: Any, owner: Any) -> bool:
            sent = session.__dict__["sent"]
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.2)
            return bool(sent)

        def __set__(self, session: Any, sent: bool) -> None:
            session.__dict__["sent"] = sent

    monkeypatch.setattr(BatchSession, "_sent", Looked(), raising=False)
    session = batch(answering(OK + b"\r\n" + ANSWER + b"\r\n" + ANSWER.replace(b"1", b"2")))
    promises = [session.main.echo("hi"), session.main.echo("ho")]
    with concurrent.futures.ThreadPoolExecutor() as threads:
        results = list(threads.map(lambda promise: promise.result(DEADLINE), promises))
    assert results == ["hi", "hi"]


def test_an_answer_against_the_protocol_ends_the_batch(answering: Callable[[bytes], str]) -> None:
    with batch(answering(OK + b"\r\n" + ANSWER + b"\n{")) as api:
        first, second = api.echo("hi"), api.echo("ho")
    assert first.result() == "hi"
    with pytest.raises(SessionClosed, match="not JSON"):
        second.result()


@pytest.mark.parametrize("url", ["ftp://x/", "file:///etc/passwd", "ws://x/", "nonsense", ""])
def test_a_batch_goes_to_http(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        batch(url)


@pytest.mark.parametrize("value", [iter([1]), Blob(b"abc")])
def test_a_batch_of_ours_carries_no_stream(value: Any) -> None:
    session = batch("http://127.0.0.1:9/")
    with pytest.raises(RpcError, match="stream"):
        session.main.echo(value)


def test_no_line_of_a_batch_is_taken_later_than_its_deadline() -> None:
    session = serve(Api).session(BatchTransport())
    taking = take_lines(session, lines(ECHO, ECHO), time.monotonic() - 1)

    assert list(taking) == []
    assert session.stats()["exports"] == 1


def test_a_batch_is_taken_line_by_line() -> None:
    session = serve(Api).session(BatchTransport())
    taking = take_lines(session, lines(ECHO, ECHO), time.monotonic() + DEADLINE)

    next(taking)

    assert session.stats()["exports"] == 2
