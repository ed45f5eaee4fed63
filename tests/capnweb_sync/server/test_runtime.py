"""The runtime of greenlets: calls in order, waits that let others run, foreign threads."""

import gc
import threading
from contextvars import ContextVar

import gevent
import gevent.event
import pytest
from greenlet import greenlet

from capnweb_sync.deferred import Deferred
from capnweb_sync.runtimes.greenlets import MAX_IDLE_RUNNERS
from capnweb_sync.runtimes.interface import Runtime
from capnweb_sync.server import GeventRuntime

from .waiting import eventually


@pytest.fixture
def runtime() -> GeventRuntime:
    return GeventRuntime()


def in_thread(function: object) -> None:
    """Run `function` in a native thread, and the loop meanwhile."""
    thread = threading.Thread(target=function)  # type: ignore[arg-type]
    thread.start()
    eventually(lambda: not thread.is_alive())
    thread.join()


def test_it_is_what_the_core_asks_for(runtime: GeventRuntime) -> None:
    asked_for: Runtime = runtime

    assert asked_for is runtime


def test_jobs_start_later_and_in_order(runtime: GeventRuntime) -> None:
    calls = runtime.call_queue()
    started: list[int] = []

    for number in range(5):
        calls.start(lambda number=number: started.append(number))  # type: ignore[misc]
    at_once = list(started)
    eventually(lambda: len(started) == 5)

    assert at_once == []
    assert started == [0, 1, 2, 3, 4]


def test_a_job_that_blocks_lets_the_next_one_start(runtime: GeventRuntime) -> None:
    calls = runtime.call_queue()
    done: list[str] = []
    event = gevent.event.Event()

    def first() -> None:
        event.wait()
        done.append("first")

    def second() -> None:
        done.append("second")
        event.set()

    calls.start(first)
    calls.start(second)
    eventually(lambda: len(done) == 2)

    assert done == ["second", "first"]


def test_a_job_may_start_another_one(runtime: GeventRuntime) -> None:
    calls = runtime.call_queue()
    done: list[str] = []

    def first() -> None:
        calls.start(lambda: done.append("second"))
        done.append("first")

    calls.start(first)
    eventually(lambda: len(done) == 2)

    assert done == ["first", "second"]


def test_idle_queues_share_a_bounded_number_of_greenlets(runtime: GeventRuntime) -> None:
    def greenlets() -> int:
        return sum(isinstance(thing, greenlet) and not thing.dead for thing in gc.get_objects())

    before = greenlets()
    queues = [runtime.call_queue() for _ in range(3 * MAX_IDLE_RUNNERS)]
    done: list[int] = []
    for queue in queues:
        queue.start(lambda: done.append(greenlets()))
    eventually(lambda: len(done) == len(queues))

    assert done[0] > before + MAX_IDLE_RUNNERS
    assert greenlets() <= before + MAX_IDLE_RUNNERS


def test_a_call_finds_none_of_the_context_variables_of_the_one_before(
    runtime: GeventRuntime,
) -> None:
    color = ContextVar("color", default="none")
    seen: list[str] = []

    def call() -> None:
        seen.append(color.get())
        color.set("red")

    runtime.call_queue().start(call)
    eventually(lambda: len(seen) == 1)
    runtime.call_queue().start(call)
    eventually(lambda: len(seen) == 2)

    assert seen == ["none", "none"]


def test_waiting_ends_when_the_value_is_there(runtime: GeventRuntime) -> None:
    deferred: Deferred[int] = Deferred()
    gevent.spawn_later(0.001, deferred.resolve, 7)

    assert runtime.wait(deferred, timeout=20.0) is True
    assert deferred.value == 7


def test_waiting_for_what_is_settled_does_not_switch(runtime: GeventRuntime) -> None:
    others: list[int] = []
    gevent.spawn(others.append, 1)

    assert runtime.wait(Deferred.of(1), timeout=None) is True
    assert others == []


def test_waiting_gives_up_after_the_timeout_and_leaves_nothing_behind(
    runtime: GeventRuntime,
) -> None:
    deferred: Deferred[int] = Deferred()

    assert runtime.wait(deferred, timeout=0.001) is False
    assert not deferred._callbacks


def test_waiting_that_is_interrupted_leaves_nothing_behind(runtime: GeventRuntime) -> None:
    deferred: Deferred[int] = Deferred()

    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        runtime.wait(deferred, timeout=None)

    assert not deferred._callbacks


def test_waiting_within_a_step_is_an_error(runtime: GeventRuntime) -> None:
    with runtime.step, runtime.step, pytest.raises(RuntimeError, match="step"):
        runtime.wait(Deferred(), timeout=None)

    assert not runtime.in_step


def test_waiting_on_a_foreign_thread_is_an_error(runtime: GeventRuntime) -> None:
    errors: list[str] = []

    def wait() -> None:
        try:
            runtime.wait(Deferred(), timeout=None)
        except RuntimeError as error:
            errors.append(str(error))

    in_thread(wait)

    assert "thread" in errors[0]


def test_entering_is_at_once_on_the_loops_thread_and_from_another_one_soon(
    runtime: GeventRuntime,
) -> None:
    threads: list[int] = []

    def note() -> None:
        threads.append(threading.get_ident())

    runtime.enter(note)
    at_once = list(threads)
    in_thread(lambda: runtime.enter(note))
    eventually(lambda: len(threads) == 2)

    here = threading.get_ident()
    assert at_once == [here]
    assert threads == [here, here]


def test_what_a_finalizer_leaves_behind_is_collected_between_other_things(
    runtime: GeventRuntime,
) -> None:
    collected: list[int] = []

    runtime.collect(lambda: collected.append(threading.get_ident()))
    at_once = list(collected)
    in_thread(lambda: runtime.collect(lambda: collected.append(threading.get_ident())))
    eventually(lambda: len(collected) == 2)

    assert at_once == []
    assert collected == [threading.get_ident()] * 2


def test_tidying_is_gathered_and_happens_by_itself(
    runtime: GeventRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capnweb_sync.runtimes.greenlets.TIDY_SECONDS", 0.01)
    tidied: list[int] = []

    for number in range(3):
        runtime.tidy_later(lambda number=number: tidied.append(number))  # type: ignore[misc]
    at_once = list(tidied)
    eventually(lambda: tidied)

    assert at_once == []
    assert tidied == [0, 1, 2]


def test_something_spawned_may_block(runtime: GeventRuntime) -> None:
    done: list[int] = []

    def slowly() -> None:
        gevent.sleep(0.001)
        done.append(1)

    runtime.spawn(slowly)
    at_once = list(done)
    eventually(lambda: done)

    assert at_once == []
