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
from types import TracebackType
from typing import Any, Final

from .deferred import Deferred
from .errors import SessionOfParent, logger
from .fork import in_child
from .runtime import inherit, tidy_all

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


class Step:
    """The lock of the core's state, which also runs what finalizers have left behind.

    Python runs a finalizer in any thread and in the middle of anything, a step of that same thread
    included, where the lock would let it in. So it only notes what is to be done; whoever has the
    step does it before giving the step back.
    """

    __slots__ = ("_depth", "_lock", "_noted")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._noted: deque[Callable[[], None]] = deque()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._depth -= 1
        self._lock.release()
        if self._noted:
            self._do_noted()

    def note(self, function: Callable[[], None]) -> None:
        """Run `function` now if nobody has the step, otherwise when it is given back."""
        self._noted.append(function)
        self._do_noted()

    def _do_noted(self) -> None:
        # Whoever fails to get the lock here leaves it to its owner, who looks after releasing it.
        while self._noted and self._lock.acquire(blocking=False):
            try:
                if self._depth:
                    return
                self._depth = 1
                while self._noted:
                    self._noted.popleft()()
                self._depth = 0
            finally:
                self._lock.release()


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
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = 0
        self._kept = KEPT_THREADS if STARTS_END_WITH_MAIN else 0
        self._waiting: deque[Callable[[], None]] = deque()
        """Work for which no thread could be had yet."""
        self._short = False
        """Whether the log says so."""
        self._untidy: list[Callable[[], None]] = []
        in_child(self, forget_runtime)

    def call_queue(self) -> ThreadCallQueue:
        """A queue for a new session."""
        return ThreadCallQueue(self)

    def enter(self, function: Callable[[], None]) -> None:
        """Run `function` at once: any thread may take a step."""
        function()

    def wait(self, deferred: Deferred[Any], timeout: float | None) -> bool:
        """Block until `deferred` is settled, for `timeout` seconds at most (None: without end).

        False if time ran out. Within a served call the session's turn is passed on meanwhile;
        the call goes on only when it has it again, which may be later than `timeout`.
        """
        calls: ThreadCallQueue | None = getattr(self._turn, "of", None)
        awake = threading.Lock()
        awake.acquire()

        def wake(_: Deferred[Any]) -> None:
            if calls is None:
                awake.release()
            else:
                calls.rejoin(awake)

        with self.step:
            if deferred.settled:
                return True
            deferred.add_callback(wake)
            if calls is not None:
                calls.pass_turn()
        seconds = -1 if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX)
        woken = False
        try:
            woken = self._acquire(awake, seconds)
        finally:
            if not woken:
                # Time ran out, or an exception came out of the wait (Ctrl+C, gevent.Timeout).
                with self.step:
                    if not deferred.settled:
                        deferred.remove_callback(wake)
                        wake(deferred)
                if calls is not None:
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
        with self.step:
            self._untidy.append(function)
            if len(self._untidy) == 1:
                self.run(self._tidy)

    def _tidy(self) -> None:
        time.sleep(TIDY_SECONDS)
        with self.step:
            functions, self._untidy = self._untidy, []
        tidy_all(functions)

    def spawn(self, function: Callable[[], None]) -> None:
        """Run `function` on a thread of its own, as soon as there is one."""
        with self.step:
            self.run(function)

    def has_turn(self, calls: ThreadCallQueue | None) -> None:
        """Note that this thread has the turn of `calls`, or none."""
        self._turn.of = calls

    def run(self, work: Callable[[], None]) -> None:
        """Run `work` on an idle thread, on a new one, or on the first that can be had. To be
        called under the step."""
        try:
            self._start(work)
        except (RuntimeError, MemoryError):
            self._waiting.append(work)

    def start(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread at once. Raises RuntimeError or MemoryError if there is none."""
        with self.step:
            self._start(work)

    def _start(self, work: Callable[[], None]) -> None:
        if self._idle:
            self._idle -= 1
            self._work.put(work)
        else:
            self._add_thread(work)
        if self._idle < self._kept:
            with suppress(RuntimeError):
                self._add_thread(None)
                self._idle += 1

    def _add_thread(self, work: Callable[[], None] | None) -> None:
        threading.Thread(
            target=self._worker, args=(work,), name="capnweb_sync", daemon=True
        ).start()

    def attend(self) -> bool:
        """Try again to have a thread for all that waits for one; whether that succeeded, which it
        does at once where nothing waits. To be called outside of a step."""
        if not self._waiting:
            return True
        try:
            with self.step:
                while self._waiting:
                    self._start(self._waiting[0])
                    self._waiting.popleft()
        except (RuntimeError, MemoryError) as error:
            if not self._short:
                self._short = True
                logger.warning("Calls wait for a thread, which cannot be started: %s", error)
            return False
        self._short = False
        return True

    def _worker(self, work: Callable[[], None] | None) -> None:
        try:
            while True:
                if work is not None:
                    self._work_off(work)
                work = self._next_work(after_work=work is not None)
                if work is None:
                    return
        except SessionOfParent:
            return  # In a forked child; under gevent, threads are greenlets, which are there, too.

    def _work_off(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SessionOfParent:
            raise
        except BaseException:
            logger.exception("A thread's work failed unforeseen")

    def _next_work(self, *, after_work: bool) -> Callable[[], None] | None:
        """What this thread is to do next; None if it is to end."""
        # Threads that wait below are as many as `_idle` says, plus one for each entry of `_work`.
        if after_work:
            with self.step:
                if self._waiting:
                    return self._waiting.popleft()
                self._idle += 1
        while True:
            with suppress(queue.Empty):
                return self._work.get(timeout=IDLE_SECONDS)
            with self.step:
                if self._idle > self._kept:
                    self._idle -= 1
                    return None


class ThreadCallQueue:
    """The served calls of one session, and whose turn it is. Its state is touched under the step.

    `_taken` is true while somebody has the turn; `_returning` holds the locks of those who wait
    to have it again, each released when it is given to them.
    """

    def __init__(self, runtime: ThreadRuntime) -> None:
        self._runtime = runtime
        self._jobs: deque[Callable[[], None]] = deque()
        self._returning: deque[threading.Lock] = deque()
        self._taken = False

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` on a thread of the runtime when the jobs before it are done or waiting."""
        with self._runtime.step:
            self._jobs.append(job)
            if not self._taken:
                self._taken = True
                self._runtime.run(self._serve)

    def pass_turn(self) -> None:
        """Give the turn, which the caller has, to the next in line."""
        if self._returning:
            self._returning.popleft().release()
        elif self._jobs:
            self._runtime.run(self._serve)
        else:
            self._taken = False

    def rejoin(self, awake: threading.Lock) -> None:
        """Stand in line for the turn; `awake` is released when it is given."""
        if self._taken:
            self._returning.append(awake)
        else:
            self._taken = True
            awake.release()

    def _serve(self) -> None:
        self._runtime.has_turn(self)
        while True:
            with self._runtime.step:
                if self._returning or not self._jobs:
                    self.pass_turn()
                    break
                job = self._jobs.popleft()
            try:
                job()
            except SessionOfParent:
                raise
            except BaseException:
                # A job does not raise. Should one do so, the calls behind it still come.
                logger.exception("A job failed unforeseen")
        self._runtime.has_turn(None)


_runtimes: dict[type[ThreadRuntime], ThreadRuntime] = {}
"""The one of this process."""


def thread_runtime() -> ThreadRuntime:
    """The one runtime of this process; a forked child, which inherits no threads, gets its own."""
    # Without a lock, which a fork could leave locked: `setdefault` is atomic.
    return _runtimes.get(ThreadRuntime) or _runtimes.setdefault(ThreadRuntime, ThreadRuntime())


def forget_runtime(runtime: ThreadRuntime) -> None:
    """In a forked child: `runtime` is the parent's."""
    _runtimes.clear()
    inherit(runtime)
