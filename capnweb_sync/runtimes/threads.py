"""The runtime of processes that block: threads, or greenlets where gevent has patched them.

**Turns.** The served calls of one session run one after another: whoever runs one has the
session's turn. A call that waits for a promise passes its turn on, so that the next call may
start, and stands in line for it again once the promise is settled; those who come back go before
calls that have not started. A thread knows whose turn it has, so a wait on a promise of any other
session passes it on, too.

**Threads.** All threads of this package are the runtime's: they wait for more work for a moment
before they end. Where the system gives no thread, what was to run waits for one: for the next that
has done its work, or until starting one succeeds, which is tried whenever there is an occasion.

Nothing is made at import: the locks and queues are those of `threading` and `queue` as they are
when the runtime is first asked for, which is after gevent has patched them.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from ..deferred import Deferred
from ..errors import SessionOfParent, logger
from .fork import being_started, in_child
from .interface import inherit, make_default_with
from .steps import Step, run_safely

IDLE_SECONDS: Final = 1.0
"""How long a thread without work waits for more before it ends. Starting one takes about 0.1 ms;
a process whose sessions are closed should soon be without threads."""

TIDY_SECONDS: Final = 0.2
"""How long `tidy_later` gathers work. Long enough to gather a burst, too short to notice."""

RETRY_SECONDS: Final = 0.5
"""Pause between two attempts to start a thread that could not be had: a moment for people."""

STARTS_END_WITH_MAIN: Final = (3, 12, 0) <= sys.version_info[:3] <= (3, 12, 2)
"""Whether no thread can be started once the main thread is over, although others live on
(https://github.com/python/cpython/issues/113964)."""

KEPT_THREADS: Final = 2
"""Idle threads that are kept where starting more may be impossible later. With the one that reads,
they are as many as connecting again takes."""


@contextmanager
def named(name: str) -> Iterator[None]:
    """What this thread is called while it does a longer work."""
    thread = threading.current_thread()
    before, thread.name = thread.name, name
    try:
        yield
    finally:
        thread.name = before


class ThreadRuntime:
    """Waits by blocking the thread, and runs served calls on daemon threads started on demand."""

    def __init__(self) -> None:
        self.step = Step()
        self._turn = threading.local()
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One for each thread that is to look for work; one too many does no harm."""
        self._idle: set[object] = set()
        """The threads that wait for work."""
        self._kept = KEPT_THREADS if STARTS_END_WITH_MAIN else 0
        self._waiting: deque[Callable[[], None]] = deque()
        """Work for which no thread could be had yet."""
        self._short = False
        """Whether the log says so."""
        self._untidy: deque[Callable[[], None]] = deque()
        self._tidying = False
        in_child(self, forget_runtime)

    def call_queue(self) -> ThreadCallQueue:
        """A queue for a new session."""
        return ThreadCallQueue(self)

    def enter(self, function: Callable[[], None]) -> None:
        """Run `function` at once: any thread may take a step."""
        function()

    def in_turns(self, pieces: Iterator[object], *, frees: bool = False) -> Deferred[None]:
        """Do all of it: nobody else waits for this thread. In the middle of a step, have another
        thread do it, so that others may make steps in between."""
        done: Deferred[None] = Deferred()

        def serve() -> None:
            for _ in pieces:
                pass
            self.step.run(done.resolve, None)

        if self.step.is_mine():
            self.run(serve)
        else:
            serve()
        return done

    def wait(self, deferred: Deferred[Any], timeout: float | None) -> bool:
        """Block until `deferred` is settled, for `timeout` seconds at most (None: without end).

        False if time ran out. Within a served call the session's turn is passed on meanwhile;
        the call goes on only when it has it again, which may be later than `timeout`.
        """
        turn: Turn | None = getattr(self._turn, "mine", None)
        awake = threading.Lock()
        awake.acquire()
        seconds = -1 if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX)

        def wake(_: Deferred[Any]) -> None:
            if turn is None:
                awake.release()
            else:
                turn.rejoin(awake)

        def begin() -> None:
            if not deferred.settled:
                deferred.add_callback(wake)
                if turn is not None:
                    turn.pass_on()

        def give_up() -> bool:
            """Whether the turn will come, and must be waited for."""
            deferred.remove_callback(wake)
            if turn is None or turn.is_held():
                return False
            turn.rejoin(awake)
            return not turn.is_held()

        woken = False
        try:
            self.step.run(begin)
            woken = deferred.settled and (turn is None or turn.is_held())
            woken = woken or self._acquire(awake, seconds)
        finally:
            # Time ran out, or an exception came out of the wait (Ctrl+C, gevent.Timeout).
            if not woken and self.step.run(give_up):
                awake.acquire()
        return deferred.settled

    def collect(self, function: Callable[[], None]) -> None:
        """Run `function` at once if no step is under way, otherwise right after it."""
        self.step.note(function)

    def _acquire(self, awake: threading.Lock, seconds: float) -> bool:
        """Wait for `awake`, `seconds` at most (-1: without end). What it takes to be released may
        itself be waiting for a thread."""
        deadline = time.monotonic() + (seconds if seconds >= 0 else threading.TIMEOUT_MAX)
        while not self.attend():
            left = deadline - time.monotonic()
            if awake.acquire(timeout=min(max(left, 0), RETRY_SECONDS)):
                return True
            if left < RETRY_SECONDS:
                return False
        return awake.acquire(
            timeout=seconds if seconds < 0 else max(deadline - time.monotonic(), 0)
        )

    def tidy_later(self, function: Callable[[], None]) -> None:
        """Run `function` soon, on some thread, together with what else there is to tidy."""
        self.step.run(self._add_untidy, function)

    def _add_untidy(self, function: Callable[[], None]) -> None:
        self._untidy.append(function)
        if not self._tidying:
            self.run(self._tidy)
            self._tidying = True

    def _tidy(self) -> None:
        time.sleep(TIDY_SECONDS)
        self._tidying = False
        while self._untidy:
            run_safely(self._untidy.popleft())

    def spawn(self, function: Callable[[], None]) -> None:
        """Run `function` on a thread of its own, as soon as there is one."""
        self.step.run(self.run, function)

    def has_turn(self, turn: Turn | None) -> None:
        """Note that this thread serves calls in `turn`, or none."""
        self._turn.mine = turn

    def run(self, work: Callable[[], None]) -> None:
        """Run `work` on an idle thread, on a new one, or on the first that can be had. To be
        called under the step."""
        self._waiting.append(work)
        self.step.after.append(self.attend)

    def start(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread at once. Raises RuntimeError or MemoryError if there is none."""
        if self._idle:
            self.step.run(self.run, work)
        else:
            self._add_thread(work)

    def attend(self) -> bool:
        """Have a thread for all that waits for one; whether that succeeded, which it does at once
        where nothing waits. To be called outside of a step."""
        try:
            for _ in range(len(self._waiting)):
                self._wakes.put(None)
            for _ in range(max(len(self._waiting), self._kept) - len(self._idle)):
                self._add_thread()
        except (RuntimeError, MemoryError) as error:
            if self._waiting and not self._short:
                self._short = True
                logger.warning("Calls wait for a thread, which cannot be started: %s", error)
            return not self._waiting
        self._short = False
        return True

    def _add_thread(self, work: Callable[[], None] | None = None) -> None:
        thread = threading.Thread(
            target=self._worker, args=(work,), name="capnweb_sync", daemon=True
        )
        with being_started(thread):
            thread.start()

    def _worker(self, work: Callable[[], None] | None) -> None:
        """Take work until there has been none for a while. Threads take it themselves, so that
        nobody who is interrupted can lose it on the way, or count it wrongly."""
        me = object()
        try:
            while True:
                if work is not None:
                    self._work_off(work)
                work = self.step.run(self._take, me)
                if work is None and not self._woken() and self.step.run(self._may_end, me):
                    return
        except SessionOfParent:
            # In a forked child; under gevent, threads are greenlets, which are there, too. The
            # child's `threading` knows nothing of them, and would complain of their end.
            threading.Event().wait()

    def _work_off(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SessionOfParent:
            raise
        except BaseException:
            logger.exception("A thread's work failed unforeseen")

    def _woken(self) -> bool:
        """Wait for work; False if none came for a while."""
        try:
            self._wakes.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            return False
        return True

    def _take(self, me: object) -> Callable[[], None] | None:
        """The work that has waited longest; without any, this thread is idle."""
        if self._waiting:
            self._idle.discard(me)
            return self._waiting.popleft()
        self._idle.add(me)
        return None

    def _may_end(self, me: object) -> bool:
        """Whether a thread that has been idle for long is not needed any more."""
        if self._waiting or len(self._idle) <= self._kept:
            return False
        self._idle.discard(me)
        return True


class Turn:
    """The turn of one thread that serves the calls of a queue. Touched under the step.

    Whose turn it is, the queue says in one place. So however far an exception lets a thread come
    with passing its turn on or taking it back, what is left to do can be seen, and done later.
    """

    __slots__ = ("_queue", "awake")

    def __init__(self, queue: ThreadCallQueue) -> None:
        self._queue = queue
        self.awake: threading.Lock | None = None
        """While it stands in line: the lock to release when it has its turn again."""

    def is_held(self) -> bool:
        """Whether it is this one's turn."""
        return self._queue.holder is self

    def pass_on(self) -> None:
        """Let the next in line have it. Without effect if it is somebody else's turn."""
        if self._queue.holder is self:
            self._queue.holder = None
        self._queue.give()

    def rejoin(self, awake: threading.Lock) -> None:
        """Stand in line again; `awake` is released when it is this one's turn."""
        self.awake = awake
        if self not in self._queue.returning:
            self._queue.returning.append(self)
        self._queue.give()

    def leave(self) -> None:
        """Serve no more."""
        if self in self._queue.returning:
            self._queue.returning.remove(self)
        self.pass_on()


class ThreadCallQueue:
    """The served calls of one session, and whose turn it is. Its state is touched under the step.

    `returning` holds the turns of those who wait to have it again.
    """

    def __init__(self, runtime: ThreadRuntime) -> None:
        self._runtime = runtime
        self._jobs: deque[Callable[[], None]] = deque()
        self.returning: deque[Turn] = deque()
        self.holder: Turn | None = None
        self._summoned = False
        """Whether a thread will come to serve, and has not yet."""

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` on a thread of the runtime when the jobs before it are done or waiting."""
        self._runtime.step.run(self._add, job)

    def _add(self, job: Callable[[], None]) -> None:
        self._jobs.append(job)
        self.give()

    def give(self) -> None:
        """Give the turn to the next in line, if nobody has it. What an exception has cut the last
        time is done now: each thing is noted only when it has been done."""
        if self.holder is None and self.returning:
            self.holder = self.returning[0]
        if self.returning and self.holder is self.returning[0]:
            awake = self.holder.awake
            if awake is not None and awake.locked():
                awake.release()
            self.returning.popleft()
        elif self.holder is None and self._jobs and not self._summoned:
            self._runtime.run(self._serve)
            self._summoned = True

    def _serve(self) -> None:
        turn = Turn(self)
        self._runtime.has_turn(turn)
        run = self._runtime.step.run
        try:
            job = run(self._begin, turn)
            while job is not None:
                try:
                    job()
                except SessionOfParent:
                    raise
                except BaseException:
                    # A job does not raise. Should one do so, the calls behind it still come.
                    logger.exception("A job failed unforeseen")
                job = run(self._next, turn)
        finally:
            with suppress(SessionOfParent):
                run(turn.leave)
            self._runtime.has_turn(None)

    def _begin(self, turn: Turn) -> Callable[[], None] | None:
        self._summoned = False
        if self.holder is None:
            self.holder = turn
        return self._next(turn)

    def _next(self, turn: Turn) -> Callable[[], None] | None:
        """The next job; none if there is none, or if it is somebody else's turn."""
        if self.holder is not turn or self.returning or not self._jobs:
            return None
        return self._jobs.popleft()


_runtimes: dict[type[ThreadRuntime], ThreadRuntime] = {}
"""The one of this process."""


def thread_runtime() -> ThreadRuntime:
    """The one runtime of this process; a forked child, which inherits no threads, gets its own."""
    # Without a lock, which a fork could leave locked: `setdefault` is atomic.
    return _runtimes.get(ThreadRuntime) or _runtimes.setdefault(ThreadRuntime, ThreadRuntime())


make_default_with(thread_runtime)


def forget_runtime(runtime: ThreadRuntime) -> None:
    """In a forked child: `runtime` is the parent's."""
    _runtimes.clear()
    inherit(runtime)
