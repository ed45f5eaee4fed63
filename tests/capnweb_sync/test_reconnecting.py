"""A session that comes back: what is there while it is away, and what comes anew."""

from __future__ import annotations

import concurrent.futures
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from capnweb_sync import (
    ClientSession,
    ReconnectingSession,
    RemoteError,
    RpcStub,
    SessionClosed,
    Status,
    connect,
)
from capnweb_sync.client import reconnect
from tests.conftest import StartProcess
from tests.processes import DEADLINE, wait_until
from tests.proxy.proxy import Proxy

SHORT = 0.05
"""Seconds after which a wait of these tests gives up, where giving up is the test."""


@pytest.fixture(autouse=True)
def quick_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "FIRST_DELAY", 0.02)
    monkeypatch.setattr(reconnect, "MAX_DELAY", 0.1)


@pytest.fixture
def proxy(start_process: StartProcess) -> Iterator[Proxy]:
    """To a server of ours in a process of its own, which can be cut off."""
    command = (sys.executable, "-m", "tests.capnweb_sync.reconnecting_server")
    server = start_process(*command, ready="ready")
    port = int(server.lines[0].split()[1])
    with Proxy(("127.0.0.1", port)) as proxy:
        yield proxy


class Worker:
    """A program that keeps a session."""

    def __init__(self, proxy: Proxy, **options: Any) -> None:
        self.heard: list[str] = []
        self.statuses: list[Status] = []
        self.stubs: list[RpcStub] = []
        self.session = connect(
            proxy.url, reconnect=self.setup, on_status=self.statuses.append, **options
        )

    def setup(self, session: ClientSession[Any]) -> None:
        self.stubs.append(session.main.login("worker", self.heard.append).result())


@pytest.fixture
def worker(proxy: Proxy) -> Iterator[Worker]:
    worker = Worker(proxy)
    with worker.session:
        yield worker


def cut(worker: Worker, proxy: Proxy) -> None:
    """Cut the connection, and wait until the worker has another."""
    before = len(worker.stubs)
    proxy.cut_all()
    wait_until(lambda: len(worker.stubs) > before)
    worker.session.wait_connected(DEADLINE)


def test_setup_runs_before_the_session_is_there(worker: Worker) -> None:
    assert worker.session.connected
    assert worker.session.main.who().result() == "worker"


def test_setup_runs_anew_on_each_connection(worker: Worker, proxy: Proxy) -> None:
    cut(worker, proxy)

    assert worker.session.main.who().result() == "worker"
    worker.session.main.tell("again").result()
    assert worker.heard == ["again"]
    assert len(worker.stubs) == 2


def test_a_call_under_way_at_the_loss_fails(worker: Worker, proxy: Proxy) -> None:
    promise = worker.session.main.never()
    worker.session.main.who().result()

    proxy.cut_all()

    assert isinstance(promise.exception(DEADLINE), SessionClosed)


def test_a_stub_of_the_old_connection_stays_broken(worker: Worker, proxy: Proxy) -> None:
    cut(worker, proxy)

    old, new = worker.stubs
    with pytest.raises(SessionClosed):
        old.name().result(DEADLINE)
    assert new.name().result(DEADLINE) == "worker"


def test_while_there_is_no_connection_main_says_so(worker: Worker, proxy: Proxy) -> None:
    proxy.go_down()
    wait_until(lambda: not worker.session.connected)

    wait_until(lambda: any(status.retry_in is not None for status in worker.statuses))
    assert repr(worker.session) == f"<ReconnectingSession with {proxy.url}, offline>"
    with pytest.raises(SessionClosed, match="wait_connected"):
        _ = worker.session.main
    with pytest.raises(concurrent.futures.TimeoutError):
        worker.session.wait_connected(SHORT)
    assert not worker.session.closed


def test_it_tells_of_the_loss_of_each_attempt_and_of_being_back(
    worker: Worker, proxy: Proxy
) -> None:
    proxy.go_down()
    wait_until(lambda: len(worker.statuses) >= 2)
    proxy.come_up()
    worker.session.wait_connected(DEADLINE)
    wait_until(lambda: worker.statuses[-1].online)

    first, last = worker.statuses[0], worker.statuses[-1]
    assert (first.online, first.retry_in is None) == (False, False)
    assert isinstance(first.error, SessionClosed)
    assert str(last) == "Back online"


def test_retry_calls_again_after_a_loss(worker: Worker, proxy: Proxy) -> None:
    attempts: list[RpcStub] = []

    def call(main: RpcStub) -> Any:
        attempts.append(main)
        if len(attempts) == 1:
            promise = main.never()
            main.who().result()
            proxy.cut_all()
            return promise
        return main.who()

    assert worker.session.retry(call, DEADLINE) == "worker"
    assert len(attempts) == 2


def test_retry_gives_up_in_time(worker: Worker, proxy: Proxy) -> None:
    proxy.go_down()
    wait_until(lambda: not worker.session.connected)

    with pytest.raises(concurrent.futures.TimeoutError, match=r"within 0\.0\d+ s") as raised:
        worker.session.retry(lambda main: main.who(), SHORT)
    assert len(str(raised.value)) < 50  # no digits that nobody has asked for


def test_retry_leaves_other_errors_alone(worker: Worker) -> None:
    with pytest.raises(RemoteError, match="not a function"):
        worker.session.retry(lambda main: main.nothing())


def test_a_callback_may_wait_for_the_next_connection(proxy: Proxy) -> None:
    """It holds the turn of the old session, which must not keep the next one from coming."""
    entered, lost, came = threading.Event(), threading.Event(), threading.Event()
    sessions: list[ReconnectingSession[Any]] = []

    def slow(_: str) -> None:
        entered.set()
        assert lost.wait(DEADLINE)
        sessions[0].wait_connected(DEADLINE)
        came.set()

    def setup(session: ClientSession[Any]) -> None:
        session.main.login("slow", slow).result()

    with connect(proxy.url, reconnect=setup, on_status=lambda _: lost.set()) as session:
        sessions.append(session)
        session.main.tell("wait")
        assert entered.wait(DEADLINE)
        proxy.cut_all()
        assert came.wait(DEADLINE)


def test_the_first_connection_fails_as_any(proxy: Proxy) -> None:
    def refused(session: ClientSession[Any]) -> None:
        session.main.refuse().result()

    with pytest.raises(RemoteError, match="Not you"):
        connect(proxy.url, reconnect=refused)


def test_a_setup_that_is_refused_later_is_tried_again(proxy: Proxy) -> None:
    outcomes = iter([None, "unavailable", "unavailable", None])
    done: list[str | None] = []

    def setup(session: ClientSession[Any]) -> None:
        outcome = next(outcomes)
        done.append(outcome)
        if outcome is not None:
            session.main.fail(outcome).result()

    with connect(proxy.url, reconnect=setup) as session:
        proxy.cut_all()
        wait_until(lambda: len(done) == 4)
        session.wait_connected(DEADLINE)


@pytest.mark.parametrize("failure", ["unauthorized", ZeroDivisionError("a mistake")])
def test_it_is_over_when_setup_is_refused_for_good_or_wrong(
    proxy: Proxy, failure: str | Exception
) -> None:
    sessions: list[ClientSession[Any]] = []
    statuses: list[Status] = []

    def setup(session: ClientSession[Any]) -> None:
        sessions.append(session)
        if len(sessions) == 2 and isinstance(failure, Exception):
            raise failure
        if len(sessions) == 2:
            session.main.fail(failure).result()

    session = connect(proxy.url, reconnect=setup, on_status=statuses.append)
    proxy.cut_all()

    assert session.wait_closed(DEADLINE)
    with pytest.raises(SessionClosed, match="for good") as raised:
        session.wait_connected()
    assert raised.value.__cause__ is not None
    assert len(sessions) == 2
    wait_until(lambda: str(statuses[-1]) == "Connection lost for good")


def test_close_ends_it_also_while_it_is_away(worker: Worker, proxy: Proxy) -> None:
    proxy.go_down()
    wait_until(lambda: not worker.session.connected)
    waiting = threading.Thread(target=lambda: raised(worker.session.wait_connected))
    waiting.start()

    worker.session.close()

    waiting.join(DEADLINE)
    assert not waiting.is_alive()
    assert repr(worker.session) == f"<ReconnectingSession with {proxy.url}, closed>"
    with pytest.raises(SessionClosed, match="closed on this side"):
        _ = worker.session.main


def raised(function: Callable[[], object]) -> None:
    with pytest.raises(SessionClosed):
        function()


def test_one_that_is_dropped_is_closed_and_says_so(proxy: Proxy) -> None:
    session: Any = connect(proxy.url, reconnect=lambda session: None)
    rpc = session._session._session

    with pytest.warns(ResourceWarning, match="unclosed <ReconnectingSession"):
        del session
    assert rpc.wait_closed(DEADLINE)


# ---- Time


def test_a_session_has_a_timeout_for_results(proxy: Proxy) -> None:
    with connect(proxy.url, result_timeout=SHORT) as session:
        with pytest.raises(concurrent.futures.TimeoutError, match=str(SHORT)):
            session.main.never().result()
        with pytest.raises(concurrent.futures.TimeoutError):
            session.main.never().exception()

        session.result_timeout = None
        began = time.monotonic()
        with pytest.raises(concurrent.futures.TimeoutError):
            session.main.never().result(2 * SHORT)
        assert time.monotonic() - began >= 2 * SHORT


def test_a_result_can_be_waited_for_without_end_in_such_a_session(proxy: Proxy) -> None:
    with connect(proxy.url, result_timeout=SHORT) as session:
        assert session.main.after(4 * SHORT).result(float("inf")) == "done"


def test_the_end_of_a_session_can_be_waited_for(proxy: Proxy) -> None:
    with connect(proxy.url) as session:
        assert not session.wait_closed(SHORT)
        proxy.cut_all()
        assert session.wait_closed(DEADLINE)
        assert session.closed
        assert session.wait_closed(0)
