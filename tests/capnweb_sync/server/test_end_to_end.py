"""Sessions of the core on this server, spoken to over real sockets by this package's own client."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import gevent
import pytest

from capnweb_sync import (
    RpcSession,
    RpcStub,
    RpcTarget,
    SessionClosed,
    broadcast,
    connect,
)
from capnweb_sync.runtimes.interface import default_runtime, set_default_runtime
from capnweb_sync.server import Connection, Connections, GeventRuntime

from .serving import Server
from .waiting import eventually

T = TypeVar("T")


class Api(RpcTarget):
    """Greets, listens, and waits."""

    def __init__(self) -> None:
        self.listeners: list[RpcStub] = []
        self._opened = gevent.event.Event()

    def greet(self, name: str) -> str:
        return f"Hello, {name}!"

    def listen(self, callback: Any) -> None:
        self.listeners.append(callback.dup())

    def ask(self, callback: Any) -> str:
        """Wait, within a served call, for an answer of the caller."""
        answer: str = callback("what?").result(5)
        return answer.upper()

    def wait(self) -> str:
        """Blocked until `open`, which comes later on the same connection."""
        self._opened.wait(5)
        return "opened"

    def open(self) -> None:
        self._opened.set()


class RpcServer(Server):
    """Serves `Api` with sessions of the core."""

    def __init__(self) -> None:
        super().__init__(Connections(max_message=100_000))
        self.runtime = GeventRuntime()
        self.apis: list[Api] = []
        self.rpc_sessions: list[RpcSession] = []

    def on_connection(self, connection: Connection) -> Any:
        connection.on_closed = self.closed.append
        self.apis.append(Api())
        self.rpc_sessions.append(RpcSession(connection, self.apis[-1], runtime=self.runtime))
        return self.rpc_sessions[-1]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"


@pytest.fixture
def server() -> Iterator[RpcServer]:
    before = default_runtime()
    started = RpcServer()
    set_default_runtime(started.runtime)
    yield started
    started.stop()
    set_default_runtime(before)


def in_thread(function: Callable[[], T]) -> T:
    """Run blocking client code in a native thread, and the server's loop meanwhile."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    eventually(lambda: not thread.is_alive())
    thread.join()
    return results[0]


def test_calls_are_answered(server: RpcServer) -> None:
    def client() -> list[str]:
        with connect(server.url) as session:
            answers = [session.main.greet(str(number)) for number in range(100)]
            return [answer.result(5) for answer in answers]

    assert in_thread(client) == [f"Hello, {number}!" for number in range(100)]


def test_a_served_call_may_wait_for_its_caller_and_for_a_later_call(server: RpcServer) -> None:
    def client() -> tuple[str, str]:
        with connect(server.url) as session:
            waiting = session.main.wait()
            asked = session.main.ask(lambda question: f"{question} nothing").result(5)
            session.main.open()
            return asked, waiting.result(5)

    assert in_thread(client) == ("WHAT? NOTHING", "opened")


def test_a_broadcast_reaches_every_connection_in_order(server: RpcServer) -> None:
    received: list[list[int]] = [[] for _ in range(5)]
    done = threading.Event()

    def client() -> None:
        sessions = [connect(server.url) for _ in received]
        for session, mine in zip(sessions, received, strict=True):
            session.main.listen(mine.append).result(5)
        done.wait(5)
        for session in sessions:
            session.close()

    thread = threading.Thread(target=client)
    thread.start()
    eventually(lambda: sum(len(api.listeners) for api in server.apis) == 5)
    listeners = [listener for api in server.apis for listener in api.listeners]
    for number in range(100):
        assert broadcast(listeners, None, number) == 5
    eventually(lambda: all(len(mine) == 100 for mine in received))
    done.set()
    eventually(lambda: not thread.is_alive())
    thread.join()

    assert received == [list(range(100))] * 5


def test_the_end_of_the_connection_is_the_end_of_the_session(server: RpcServer) -> None:
    def client() -> str:
        with connect(server.url) as session:
            return str(session.main.greet("you").result(5))

    in_thread(client)

    eventually(lambda: server.closed)
    assert server.closed[0].closed_on_purpose
    assert server.rpc_sessions[0].closed
    assert server.closed[0].session is None


def test_closing_on_the_server_ends_the_clients_calls_with_the_code(server: RpcServer) -> None:
    def client() -> int | None:
        with connect(server.url) as session, pytest.raises(SessionClosed) as over:
            session.main.wait().result(5)
        return over.value.close_code

    thread_result: list[int | None] = []
    thread = threading.Thread(target=lambda: thread_result.append(client()))
    thread.start()
    eventually(lambda: len(server.connections) == 1)
    server.connections.close_all(4001, "Joined elsewhere.")
    eventually(lambda: not thread.is_alive())
    thread.join()

    assert thread_result == [4001]


def test_a_message_of_nonsense_ends_that_session_as_the_reference_does(server: RpcServer) -> None:
    from .serving import connect as connect_raw

    client = connect_raw(server.port)
    client.send_text("nonsense")

    assert client.text().startswith('["abort"')
    assert client.close_frame()[0] == 3000
    client.socket.close()
    eventually(lambda: server.closed)
