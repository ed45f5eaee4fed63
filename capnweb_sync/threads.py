"""The runtime of processes that block: threads, or greenlets where gevent has patched them.

**Turns.** The served calls of one session run one after another: whoever runs one has the
session's turn. A call that waits for a promise passes its turn on, so that the next call may
start, and stands in line for it again once the promise is settled; those who come back go before
calls that have not started. A thread knows whose turn it has, so a wait on a promise of any other
session passes it on, too.

Nothing is made at import: the locks and queues are those of `threading` and `queue` as they are
when the runtime is first asked for, which is after gevent has patched them.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from .deferred import Deferred

IDLE_SECONDS: Final = 1.0
"""How long a thread without work waits for more before it ends. Starting one takes about 0.1 ms;
a process whose sessions are closed should soon be without threads."""

TIDY_SECONDS: Final = 0.2
"""How long `tidy_later` gathers work. Long enough to gather a burst, too short to notice."""


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


class ThreadRuntime:
    """Waits by blocking the thread, and runs served calls on daemon threads started on demand."""

    def __init__(self) -> None:
        self.step = Step()
        self._turn = threading.local()
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = 0
        self._untidy: list[Callable[[], None]] = []

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
            woken = awake.acquire(timeout=seconds)
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
        for function in functions:
            function()

    def spawn(self, function: Callable[[], None]) -> None:
        """Run `function` on a thread of its own."""
        with self.step:
            self.run(function)

    def has_turn(self, calls: ThreadCallQueue | None) -> None:
        """Note that this thread has the turn of `calls`, or none."""
        self._turn.of = calls

    def run(self, work: Callable[[], None]) -> None:
        """Run `work` on an idle thread, or on a new one. To be called under the step."""
        if self._idle:
            self._idle -= 1
        else:
            threading.Thread(target=self._worker, name="capnweb_sync call", daemon=True).start()
        self._work.put(work)

    def _worker(self) -> None:
        # Threads that wait here are as many as `_idle` says, plus one for each entry of `_work`.
        while True:
            try:
                work = self._work.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self.step:
                    if not self._idle:
                        continue
                    self._idle -= 1
                    return
            work()
            with self.step:
                self._idle += 1


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
            job()
        self._runtime.has_turn(None)


_runtimes: dict[int, ThreadRuntime] = {}


def thread_runtime() -> ThreadRuntime:
    """The one runtime of this process; a forked child, which inherits no threads, gets its own."""
    process = os.getpid()
    # Without a lock, which a fork could leave locked: `setdefault` is atomic.
    return _runtimes.get(process) or _runtimes.setdefault(process, ThreadRuntime())
