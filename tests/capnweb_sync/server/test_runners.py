"""The greenlets that run served calls stay for the next one, whatever is done to them."""

from typing import Any

import gevent
import gevent.event
import pytest

from capnweb_sync import RemoteError, RpcSession, RpcTarget
from capnweb_sync.server import GeventRuntime

from .waiting import DEADLINE, eventually

BLOCKED = 1_000
"""Calls that wait at the same time; a session's bound is 1,024."""


@pytest.fixture
def runtime() -> GeventRuntime:
    return GeventRuntime()


def run(runtime: GeventRuntime) -> Any:
    """Run a job that ends at once; the greenlet in which it ran."""
    seen: list[Any] = []
    runtime.call_queue().start(lambda: seen.append(gevent.getcurrent()))
    eventually(lambda: seen)
    return seen[0]


@pytest.mark.parametrize("error", [gevent.GreenletExit, gevent.Timeout, KeyError])
def test_what_is_thrown_at_a_call_that_is_done_harms_no_later_one(
    runtime: GeventRuntime, error: type[BaseException]
) -> None:
    runner = run(runtime)

    gevent.kill(runner, error)

    run(runtime)  # perhaps before it is thrown
    gevent.sleep(0)
    run(runtime)
    run(runtime)


def test_a_timeout_that_was_left_running_harms_no_later_call(runtime: GeventRuntime) -> None:
    started: list[bool] = []

    def careless() -> None:
        gevent.Timeout.start_new(0.001)
        started.append(True)

    runtime.call_queue().start(careless)
    eventually(lambda: started)
    gevent.sleep(0.01)

    run(runtime)


class Pair:
    """A transport to a session in the same loop."""

    can_concatenate = False

    def __init__(self) -> None:
        self.other: RpcSession

    @staticmethod
    def pack(message: bytes) -> bytes:
        return message

    def send(self, packed: bytes) -> None:
        gevent.spawn(self.other.receive, packed)

    def close(self, code: int, reason: str) -> None:
        gevent.spawn(self.other.connection_lost, code, reason)


class Api(RpcTarget):
    def __init__(self) -> None:
        self._open = gevent.event.Event()
        self._inside: list[Any] = []

    def wait(self) -> str:
        self._inside.append(gevent.getcurrent())
        self._open.wait()
        return "done"

    def open(self) -> None:
        self._open.set()

    def leave(self) -> None:
        raise gevent.GreenletExit

    def ping(self) -> str:
        return "pong"


def connected(runtime: GeventRuntime, api: Api) -> Any:
    """A stub for `api`."""
    here, there = Pair(), Pair()
    here.other = RpcSession(there, api, runtime=runtime)
    there.other = RpcSession(here, runtime=runtime)
    return there.other.main


def test_a_call_that_ends_its_greenlet_has_failed(runtime: GeventRuntime) -> None:
    stub = connected(runtime, Api())
    with pytest.raises(RemoteError) as caught:
        stub.leave().result(DEADLINE)
    assert caught.value.code == "internal"
    assert stub.ping().result(DEADLINE) == "pong"


def test_a_call_whose_greenlet_is_killed_has_failed(runtime: GeventRuntime) -> None:
    api = Api()
    stub = connected(runtime, api)
    answer = stub.wait()
    eventually(lambda: api._inside)
    gevent.kill(api._inside[0])
    with pytest.raises(RemoteError):
        answer.result(DEADLINE)
    assert stub.ping().result(DEADLINE) == "pong"


def test_a_thousand_calls_that_block_delay_no_other(runtime: GeventRuntime) -> None:
    api = Api()
    stub = connected(runtime, api)
    answers = [stub.wait() for _ in range(BLOCKED)]
    eventually(lambda: len(api._inside) == BLOCKED)
    assert stub.ping().result(DEADLINE) == "pong"
    stub.open()
    assert {answer.result(DEADLINE) for answer in answers} == {"done"}
