"""The runtime of a gevent server: served calls are greenlets, and waiting lets others run.

Everything happens on the thread of one loop, and within a step nothing switches: so nobody ever
waits for the step's lock. A call that blocks, on whatever, lets the next one of its session start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any, Final

import gevent
from gevent import getcurrent, monkey
from gevent.event import Event
from gevent.hub import get_hub

from ..deferred import Deferred
from ..errors import logger
from .fork import in_child
from .interface import inherit, set_default_runtime
from .steps import Step, run_all_safely
from .turns import Pieces, turns

TIDY_SECONDS: Final = 2.0
"""How long `tidy_later` gathers work: releases that nobody waits for, at one more `send` for each
connection."""

COLLECTED_AT_ONCE: Final = 64
"""What finalizers have noted and is done in one piece; some microseconds each."""

MAX_IDLE_RUNNERS: Final = 64
"""Greenlets that are kept for the next calls: more are rarely busy in one turn of the loop, and
each holds some KiB."""

#: The native thread's, where gevent has patched `threading` to tell that of the greenlet.
_thread_ident = monkey.get_original("_thread", "get_ident")


class GeventRuntime:
    """`Runtime` for the sessions of the loop of one thread.

    That is the thread which makes it. Calls may be made there only; `enter` and `collect` are for
    the others, too.
    """

    def __init__(self) -> None:
        # Nothing switches inside a step, so nobody ever waits for this lock; it knows whether it
        # is held, and makes steps whole.
        self.step = Step()
        self._loop: Any = get_hub().loop
        self._thread = _thread_ident()
        self._untidy: list[Callable[[], None]] = []
        self._runners = Runners(self._loop)
        self._turns = turns()
        self._collected: deque[Callable[[], None]] = deque()
        """What finalizers have noted."""
        self._collecting = False
        in_child(self, forget_runtime)

    def call_queue(self) -> GreenletCallQueue:
        """A queue for a new session."""
        return GreenletCallQueue(self._runners)

    def wait(self, deferred: Deferred[Any], timeout: float | None) -> bool:
        """Block the calling greenlet until `deferred` is settled; see `Runtime.wait`.

        Raises:
            RuntimeError: it is called within a step, or on a foreign thread.
        """
        if self.in_step:
            raise RuntimeError("waiting within a step would stop everything")
        if _thread_ident() != self._thread:
            raise RuntimeError("a session of a gevent server is used on the thread of its loop")
        if deferred.settled:
            return True
        settled = Event()

        def wake(_: Deferred[Any]) -> None:
            settled.set()

        deferred.add_callback(wake)
        try:
            settled.wait(timeout)
        finally:
            deferred.remove_callback(wake)
        return deferred.settled

    @property
    def in_step(self) -> bool:
        """Whether a step is being made."""
        return self.step.is_mine()

    def enter(self, function: Callable[[], None]) -> None:
        """Run `function` at once, or soon on the loop's thread when called from another one."""
        if _thread_ident() == self._thread:
            function()
        else:
            self._loop.run_callback_threadsafe(function)

    def collect(self, function: Callable[[], None]) -> None:
        """Run `function` soon, between everything else: a finalizer may interrupt anything. In
        turns, since thousands may come at once, with the end of one session."""
        self._collected.append(function)
        if not self._collecting:
            self._collecting = True
            self._loop.run_callback_threadsafe(self._collect)

    def _collect(self) -> None:
        self._turns.add(self._collect_in_turns(), frees=True)

    def _collect_in_turns(self) -> Iterator[None]:
        while self._collected:
            for _ in range(min(COLLECTED_AT_ONCE, len(self._collected))):
                try:
                    self._collected.popleft()()
                except Exception as error:  # noqa: PERF203 - the rest is to be done all the same
                    gevent.spawn_raw(logger.error, "Tidying up failed", exc_info=error)
            yield
        self._collecting = False
        if self._collected:  # come in between, from another thread
            self._collecting = True
            self._loop.run_callback_threadsafe(self._collect)

    def tidy_later(self, function: Callable[[], None]) -> None:
        """Run `function` soon, together with what else there is to tidy."""
        self._untidy.append(function)
        if len(self._untidy) == 1:
            timer = self._loop.timer(TIDY_SECONDS)
            timer.start(self._tidy, timer)

    def _tidy(self, timer: Any) -> None:
        timer.close()
        functions, self._untidy = self._untidy, []
        # In a greenlet: should it fail, a handler of the log may block, and the hub must not.
        gevent.spawn_raw(run_all_safely, functions)

    def in_turns(self, pieces: Pieces, *, frees: bool = False) -> Deferred[None]:
        """Have long work done, a piece at a time, in turns with what others want. On the loop's
        thread only.

        Args:
            pieces: yields after each piece, and does not raise.
            frees: whether it gives memory back; it does not wait behind all that takes more then.

        Returns:
            What is settled when it is done.
        """
        return self._turns.add(pieces, frees=frees)

    def spawn(self, function: Callable[[], None]) -> None:
        """Run `function` in a greenlet of its own."""
        gevent.spawn_raw(function)


_runtime: GeventRuntime | None = None


def gevent_runtime() -> GeventRuntime:
    """The one runtime of a process that serves with gevent, made with the first call, and from
    then on also that of stubs which belong to no session.

    Returns:
        The runtime.
    """
    global _runtime
    if _runtime is None:
        _runtime = GeventRuntime()
        set_default_runtime(_runtime)
    return _runtime


def forget_runtime(runtime: GeventRuntime) -> None:
    """In a forked child: `runtime` is the parent's."""
    global _runtime
    if _runtime is runtime:
        _runtime = None
    runtime._untidy.clear()
    inherit(runtime)


class Runners:
    """Greenlets that run functions, and stay for the next one.

    A new greenlet costs CPython a mapping of memory, and its end the unmapping: several times what
    a short call takes.
    """

    __slots__ = ("_idle", "_loop")

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._idle: list[Any] = []

    def run(self, function: Callable[[], None]) -> None:
        """Run `function`, which does not raise, in this turn of the loop, after what is to be run
        already."""
        if self._idle:
            self._loop.run_callback(self._idle.pop().switch, function)
        else:
            gevent.spawn_raw(self._serve, function)

    def _serve(self, function: Callable[[], None]) -> None:
        me = getcurrent()
        while True:
            function()
            if len(self._idle) >= MAX_IDLE_RUNNERS:
                return
            # What a call left in context variables is not for the next one.
            me.gr_context = Context()
            self._idle.append(me)
            function = self._next()

    def _next(self) -> Callable[[], None]:
        """Wait to be switched to with the next function."""
        hub = get_hub()
        while True:
            try:
                function: Callable[[], None] = hub.switch()
            except BaseException:  # thrown at a call that is done, such as by its own timeout
                continue
            return function


class GreenletCallQueue:
    """Starts the served calls of one session in order, in greenlets.

    One greenlet runs call after call. Before it begins one with others waiting, it schedules a
    successor: if the call blocks, the successor goes on with the next one meanwhile; if none
    blocks, the successor finds nothing to do.
    """

    __slots__ = ("_jobs", "_runners", "_scheduled")

    def __init__(self, runners: Runners) -> None:
        self._runners = runners
        # A list, since an empty deque takes 760 bytes; the session's bound on calls keeps it short.
        self._jobs: list[Callable[[], None]] = []
        self._scheduled = False

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` soon, after the jobs before it have begun."""
        self._jobs.append(job)
        if not self._scheduled:
            self._runners.run(self._run)
            self._scheduled = True

    def _run(self) -> None:
        self._scheduled = False
        jobs = self._jobs
        while jobs:
            job = jobs.pop(0)
            if jobs and not self._scheduled:
                self._runners.run(self._run)
                self._scheduled = True
            job()
