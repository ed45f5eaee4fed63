"""A runtime that knows when nothing is under way any more.

It counts what another runtime runs: served calls, callbacks, streams, messages on their way. A
call that waits for a promise does not count meanwhile; it does again from the moment at which the
promise is settled, so there is no moment in between at which everything seems to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from ..deferred import Deferred
from ..runtimes.interface import CallQueue, Runtime
from ..runtimes.steps import Step, run_safely

_running: ContextVar[SettlingRuntime | None] = ContextVar("_running", default=None)
"""The runtime that runs the present thread's job."""


class SettlingRuntime:
    """Runs what another runtime runs, and counts it. Its state is touched under the step."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._under_way = 0
        self._untidy: list[Callable[[], None]] = []
        self._settled: Deferred[None] | None = None

    def settle(self, timeout: float) -> None:
        """Wait until nothing is under way. Raises TimeoutError after `timeout` seconds."""
        if _running.get() is self:
            raise RuntimeError("A served call or a callback would wait for itself to be done.")
        while True:
            self._tidy()
            settled = self.step.run(self._until_settled)
            if settled is None:
                return
            if not self._runtime.wait(settled, timeout):
                raise TimeoutError(
                    f"After {timeout:g} s there are still {self._under_way} calls, streams or"
                    " messages under way. A call that blocks in any other way than by waiting for"
                    " a promise counts as under way."
                )

    def _until_settled(self) -> Deferred[None] | None:
        """What is settled when nothing is under way any more; None if that is so already."""
        if not self._under_way and not self._untidy:
            return None
        self._settled = self._settled or Deferred()
        return self._settled

    def _begin(self) -> None:
        self._under_way += 1

    def _end(self) -> None:
        self._under_way -= 1
        if not self._under_way and self._settled is not None:
            settled, self._settled = self._settled, None
            settled.resolve(None)

    def counted(self, job: Callable[[], None]) -> Callable[[], None]:
        """`job`, which counts as under way from now on until it has run."""
        self.step.run(self._begin)

        def run() -> None:
            before = _running.set(self)
            try:
                job()
            finally:
                _running.reset(before)
                self.step.run(self._end)

        return run

    # As a runtime.

    @property
    def step(self) -> Step:
        """The lock of the core's state."""
        return self._runtime.step

    def call_queue(self) -> CallQueue:
        """A queue for a new session."""
        return CountedQueue(self, self._runtime.call_queue())

    def wait(self, deferred: Deferred[Any], timeout: float | None) -> bool:
        """Block until `deferred` is settled, `timeout` seconds at most; False if time ran out."""
        if _running.get() is not self:
            return self._runtime.wait(deferred, timeout)

        def go_on(_: Deferred[Any]) -> None:
            self._begin()

        def pause() -> None:
            if not deferred.settled:
                deferred.add_callback(go_on)
                self._end()

        def give_up() -> None:
            if not deferred.settled:
                deferred.remove_callback(go_on)
                self._begin()

        self.step.run(pause)
        try:
            return self._runtime.wait(deferred, timeout)
        finally:
            self.step.run(give_up)

    def enter(self, function: Callable[[], None]) -> None:
        """Run `function` where a step may be taken."""
        self._runtime.enter(function)

    def in_turns(self, pieces: Iterator[object], *, frees: bool = False) -> Deferred[None]:
        """Have `pieces` done as the runtime below does it, and count them."""
        self.step.run(self._begin)

        def counted() -> Iterator[object]:
            yield from pieces
            self.step.run(self._end)

        return self._runtime.in_turns(counted(), frees=frees)

    def spawn(self, function: Callable[[], None]) -> None:
        """Run `function` beside everything else; it may block."""
        self._runtime.spawn(self.counted(function))

    def collect(self, function: Callable[[], None]) -> None:
        """Run `function`, a finalizer's, as soon as no step is under way."""
        self._runtime.collect(function)

    def tidy_later(self, function: Callable[[], None]) -> None:
        """Run `function` within seconds; `settle` does not wait for that but does it at once."""
        self._untidy.append(function)
        if len(self._untidy) == 1:
            self._runtime.tidy_later(self._tidy)

    def _tidy(self) -> None:
        while self._untidy:
            run_safely(self._untidy.pop(0))


class CountedQueue:
    """Starts the served calls of one session, counted."""

    def __init__(self, runtime: SettlingRuntime, queue: CallQueue) -> None:
        self._runtime = runtime
        self._queue = queue

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` soon, counted from now on."""
        self._queue.start(self._runtime.counted(job))
