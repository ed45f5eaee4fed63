"""How processes that block wait, and how the served calls of a session take turns."""

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from capnweb_sync.deferred import Deferred
from capnweb_sync.runtimes.threads import IDLE_SECONDS, ThreadRuntime, thread_runtime
from tests.capnweb_sync.interruptions import Signal
from tests.conftest import StartProcess
from tests.processes import DEADLINE, wait_until

#: Seconds in which something that must not happen would have happened.
MOMENT = 0.05


@pytest.fixture
def runtime() -> ThreadRuntime:
    """One that keeps no idle threads, whatever this Python's own would do."""
    runtime = ThreadRuntime()
    runtime._kept = 0
    return runtime


class Diary:
    """What happened, in order, whichever thread it happened in."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def note(self, entry: str) -> Callable[[], None]:
        """A job that writes `entry`."""
        return lambda: self.entries.append(entry)

    def note_after(self, gate: threading.Event, entry: str) -> Callable[[], None]:
        """A job that writes `entry` when `gate` is open, and holds its turn until then."""

        def job() -> None:
            gate.wait(DEADLINE)
            self.entries.append(entry)

        return job

    def wait_for(self, *entries: str) -> None:
        """Wait until the diary reads `entries`."""
        wait_until(lambda: len(self.entries) >= len(entries), message=str(entries))
        assert self.entries == list(entries)


@pytest.fixture
def diary() -> Diary:
    return Diary()


def settle(runtime: ThreadRuntime, deferred: Deferred[str]) -> None:
    runtime.step.run(deferred.resolve, "here")


def waiting(
    runtime: ThreadRuntime, diary: Diary, name: str, deferred: Deferred[str]
) -> Callable[[], None]:
    """A job that notes its start, waits for `deferred`, and notes that it goes on."""

    def job() -> None:
        diary.entries.append(f"{name} starts")
        runtime.wait(deferred, DEADLINE)
        diary.entries.append(f"{name} goes on")

    return job


def test_waiting_for_what_is_there_returns_at_once(runtime: ThreadRuntime) -> None:
    assert runtime.wait(Deferred.of("here"), 0)


def test_waiting_ends_when_another_thread_settles(runtime: ThreadRuntime) -> None:
    deferred: Deferred[str] = Deferred()
    threading.Timer(MOMENT, settle, (runtime, deferred)).start()
    assert runtime.wait(deferred, None)


def test_a_wait_that_times_out_says_so_and_leaves_nothing_behind(runtime: ThreadRuntime) -> None:
    deferred: Deferred[str] = Deferred()
    assert not runtime.wait(deferred, 0.01)
    assert not deferred._callbacks
    settle(runtime, deferred)


@pytest.mark.parametrize("timeout", [0, -1.0, 1e12])
def test_any_timeout_is_understood(runtime: ThreadRuntime, timeout: float) -> None:
    deferred: Deferred[str] = Deferred()
    if timeout > 0:
        threading.Timer(MOMENT, settle, (runtime, deferred)).start()
    assert runtime.wait(deferred, timeout) is (timeout > 0)


def test_the_calls_of_a_session_run_one_after_another_in_order(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    calls = runtime.call_queue()
    gate = threading.Event()
    calls.start(diary.note_after(gate, "first"))
    calls.start(diary.note("second"))
    calls.start(diary.note("third"))
    assert diary.entries == []
    gate.set()
    diary.wait_for("first", "second", "third")


def test_a_call_never_starts_inside_the_request_to_start_it(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    threads: list[int] = []
    runtime.call_queue().start(lambda: threads.append(threading.get_ident()))
    wait_until(lambda: threads)
    assert threads != [threading.get_ident()]


def test_a_call_that_waits_lets_the_next_one_start(runtime: ThreadRuntime, diary: Diary) -> None:
    calls = runtime.call_queue()
    answer: Deferred[str] = Deferred()
    calls.start(waiting(runtime, diary, "get", answer))
    calls.start(lambda: settle(runtime, answer))
    diary.wait_for("get starts", "get goes on")


def test_a_call_that_comes_back_does_not_run_beside_another(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    calls = runtime.call_queue()
    answer: Deferred[str] = Deferred()
    gate = threading.Event()

    def busy() -> None:
        settle(runtime, answer)
        diary.entries.append("busy starts")
        gate.wait(DEADLINE)
        diary.entries.append("busy ends")

    calls.start(waiting(runtime, diary, "get", answer))
    calls.start(busy)
    diary.wait_for("get starts", "busy starts")
    gate.set()
    diary.wait_for("get starts", "busy starts", "busy ends", "get goes on")


def test_those_who_come_back_go_in_the_order_of_their_answers_and_before_new_calls(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    calls = runtime.call_queue()
    first: Deferred[str] = Deferred()
    second: Deferred[str] = Deferred()

    def answer_both() -> None:
        calls.start(diary.note("new call"))
        settle(runtime, second)
        settle(runtime, first)

    calls.start(waiting(runtime, diary, "first", first))
    calls.start(waiting(runtime, diary, "second", second))
    calls.start(answer_both)
    diary.wait_for("first starts", "second starts", "second goes on", "first goes on", "new call")


def test_a_call_whose_wait_timed_out_goes_on_in_its_turn(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    calls = runtime.call_queue()
    gate = threading.Event()

    def impatient() -> None:
        diary.entries.append(f"in time: {runtime.wait(Deferred(), 0.01)}")

    calls.start(impatient)
    calls.start(diary.note_after(gate, "busy ends"))
    assert diary.entries == []
    gate.set()
    diary.wait_for("busy ends", "in time: False")


def test_waiting_for_the_promise_of_another_session_passes_the_turn_on_too(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    here, there = runtime.call_queue(), runtime.call_queue()
    answer: Deferred[str] = Deferred()
    here.start(waiting(runtime, diary, "gateway", answer))
    here.start(lambda: there.start(lambda: settle(runtime, answer)))
    diary.wait_for("gateway starts", "gateway goes on")


def test_a_hundred_calls_can_wait_at_once(runtime: ThreadRuntime, diary: Diary) -> None:
    calls = runtime.call_queue()
    answer: Deferred[str] = Deferred()
    for _ in range(100):
        calls.start(waiting(runtime, diary, "call", answer))
    calls.start(lambda: settle(runtime, answer))
    diary.wait_for(*["call starts"] * 100, *["call goes on"] * 100)


def test_threads_without_work_end(runtime: ThreadRuntime) -> None:
    threads: list[threading.Thread] = []
    runtime.call_queue().start(lambda: threads.append(threading.current_thread()))
    wait_until(lambda: threads)
    threads[0].join(IDLE_SECONDS + DEADLINE)
    assert not threads[0].is_alive()


def test_an_idle_thread_is_used_again(runtime: ThreadRuntime) -> None:
    calls = runtime.call_queue()
    threads: list[int] = []
    for done in range(1, 6):
        calls.start(lambda: threads.append(threading.get_ident()))
        wait_until(lambda done=done: len(threads) == done and len(runtime._idle) == 1)  # type: ignore[misc]
    assert len(set(threads)) == 1


def test_long_work_is_done_at_once_but_never_within_the_step_that_asks_for_it(
    runtime: ThreadRuntime,
) -> None:
    within: list[bool] = []

    def pieces() -> Iterator[None]:
        for _ in range(3):
            within.append(runtime.step.is_mine())
            yield

    at_once = runtime.in_turns(pieces()).settled
    later = runtime.step.run(runtime.in_turns, pieces())

    assert at_once
    assert runtime.wait(later, DEADLINE)
    assert within == [False] * 6


def test_work_that_can_be_gathered_is_done_soon(runtime: ThreadRuntime, diary: Diary) -> None:
    runtime.tidy_later(diary.note("one"))
    runtime.tidy_later(diary.note("two"))
    diary.wait_for("one", "two")
    runtime.tidy_later(diary.note("three"))
    diary.wait_for("one", "two", "three")


def test_work_that_fails_unforeseen_is_told_and_holds_up_nothing_behind_it(
    runtime: ThreadRuntime, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("a bug")

    calls = runtime.call_queue()
    for work in (calls.start, runtime.tidy_later, runtime.spawn):
        diary.entries.clear()
        work(fail)
        work(diary.note("done"))
        diary.wait_for("done")
    wait_until(lambda: len(caplog.records) == 3)


class Shortage:
    """While it lasts, no thread can be started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lasts = True
        start = threading.Thread.start

        def may_fail(thread: threading.Thread) -> None:
            if self.lasts:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", may_fail)


@pytest.fixture
def shortage(monkeypatch: pytest.MonkeyPatch) -> Shortage:
    return Shortage(monkeypatch)


def test_a_call_for_which_there_is_no_thread_runs_in_its_order_when_there_is_one(
    runtime: ThreadRuntime, diary: Diary, shortage: Shortage
) -> None:
    calls = runtime.call_queue()
    calls.start(diary.note("first"))
    calls.start(diary.note("second"))
    assert not runtime.attend()
    shortage.lasts = False
    calls.start(diary.note("third"))
    assert runtime.attend()
    diary.wait_for("first", "second", "third")


def test_what_can_be_gathered_is_done_when_there_is_a_thread(
    runtime: ThreadRuntime, diary: Diary, shortage: Shortage
) -> None:
    runtime.tidy_later(diary.note("one"))
    shortage.lasts = False
    runtime.tidy_later(diary.note("two"))
    assert runtime.attend()
    diary.wait_for("one", "two")


def test_whoever_waits_for_a_call_without_a_thread_keeps_trying_to_have_one(
    runtime: ThreadRuntime, shortage: Shortage
) -> None:
    answer: Deferred[str] = Deferred()
    runtime.call_queue().start(lambda: settle(runtime, answer))
    assert not runtime.wait(answer, MOMENT)
    waiter = threading.Thread(target=runtime.wait, args=(answer, DEADLINE))
    shortage.lasts = False
    waiter.start()
    waiter.join(DEADLINE)
    assert answer.settled


def test_a_thread_that_is_free_again_does_what_waits_for_one(
    runtime: ThreadRuntime, diary: Diary, shortage: Shortage
) -> None:
    gate = threading.Event()
    shortage.lasts = False
    runtime.spawn(diary.note_after(gate, "busy"))
    shortage.lasts = True
    runtime.spawn(diary.note("waiting"))
    gate.set()
    diary.wait_for("busy", "waiting")


def test_what_must_start_now_says_at_once_that_there_is_no_thread(
    runtime: ThreadRuntime, diary: Diary, shortage: Shortage
) -> None:
    with pytest.raises(RuntimeError):
        runtime.start(diary.note("never"))
    shortage.lasts = False
    runtime.start(diary.note("now"))
    diary.wait_for("now")


def test_what_a_finalizer_wants_is_done_at_once_when_no_step_is_under_way(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    runtime.collect(diary.note("collected"))
    assert diary.entries == ["collected"]


def test_what_a_finalizer_wants_is_done_after_the_step_of_its_own_thread(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    def step() -> None:
        runtime.step.run(runtime.collect, diary.note("collected"))
        diary.entries.append("end of the step")

    runtime.step.run(step)
    assert diary.entries == ["end of the step", "collected"]


def test_a_finalizer_does_not_wait_for_the_step_of_another_thread(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    taken, gate = threading.Event(), threading.Event()

    def hold() -> None:
        taken.set()
        gate.wait(DEADLINE)
        diary.entries.append("end of the step")

    holder = threading.Thread(target=runtime.step.run, args=(hold,))
    holder.start()
    taken.wait(DEADLINE)
    runtime.collect(diary.note("collected"))
    assert diary.entries == []
    gate.set()
    holder.join(DEADLINE)
    assert diary.entries == ["end of the step", "collected"]


def test_a_thousand_finalizers_at_once_are_no_recursion(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    take_step = partial(runtime.step.run, diary.note("collected"))

    def step() -> None:
        for _ in range(2_000):
            runtime.collect(take_step)

    runtime.step.run(step)
    assert len(diary.entries) == 2_000


def test_a_call_that_a_finalizer_starts_waits_for_no_further_step(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    calls = runtime.call_queue()
    runtime.collect(lambda: calls.start(diary.note("started")))
    diary.wait_for("started")


def test_a_finalizer_that_fails_stops_no_other(
    runtime: ThreadRuntime, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    def step() -> None:
        runtime.collect(lambda: 1 / 0)  # type: ignore[arg-type]
        runtime.collect(diary.note("collected"))

    runtime.step.run(step)
    runtime.collect(lambda: 1 / 0)  # type: ignore[arg-type]
    runtime.collect(diary.note("collected, too"))
    assert diary.entries == ["collected", "collected, too"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_what_fails_to_be_tidied_up_stops_nothing_else(
    runtime: ThreadRuntime, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.tidy_later(lambda: 1 / 0)  # type: ignore[arg-type]
    runtime.tidy_later(diary.note("tidied"))
    diary.wait_for("tidied")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_thread_that_cannot_be_started_leaves_the_turn_to_the_next(
    runtime: ThreadRuntime, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    calls = runtime.call_queue()
    with monkeypatch.context() as context:
        context.setattr(threading.Thread, "start", refuse)
        runtime.collect(lambda: calls.start(diary.note("from a finalizer")))
    calls.start(diary.note("later"))
    assert runtime.attend()
    diary.wait_for("from a finalizer", "later")


class Interruption(BaseException):
    """What a signal's handler raises."""


def test_a_call_whose_wait_is_interrupted_at_any_opcode_gives_its_turn_back(
    runtime: ThreadRuntime, diary: Diary
) -> None:
    """As by time limits for threads. (Greenlets would share what raises the exception.)"""
    for at in itertools.count():
        calls = runtime.call_queue()
        answer: Deferred[str] = Deferred()
        signals: list[Signal] = []

        def wait(at: int = at, answer: Deferred[str] = answer) -> None:
            signal = Signal(at, Interruption)
            signals.append(signal)  # noqa: B023
            if not signal.during(lambda: runtime.wait(answer, 0.001)):
                diary.entries.append("no more places")

        calls.start(wait)
        done = threading.Event()
        calls.start(done.set)
        assert done.wait(DEADLINE), signals[0].place
        wait_until(lambda calls=calls: calls.holder is None)  # type: ignore[misc]
        assert not runtime.step.changing
        if diary.entries:
            break
    assert at > 50


def test_there_is_one_runtime_in_a_process() -> None:
    assert thread_runtime() is thread_runtime()


FORK = """
import os, sys, threading
from capnweb_sync.runtimes.threads import thread_runtime
parent = thread_runtime()
done = threading.Event()
parent.call_queue().start(done.set)
done.wait()
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
done = threading.Event()
thread_runtime().call_queue().start(done.set)
os._exit(0 if thread_runtime() is not parent and done.wait(5) else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_does_not_wait_for_the_threads_of_its_parent(
    start_process: StartProcess,
) -> None:
    process = start_process(sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK)
    assert process.wait() == 0


def test_all_of_this_holds_in_a_process_that_gevent_has_patched(
    start_process: StartProcess,
) -> None:
    process = start_process(
        sys.executable,
        "-m",
        "tests.patched",
        __file__,
        "-k",
        "not patched and not forked and not opcode",
    )
    assert process.wait() == 0, process.output
