"""Recording the function of a `.map()`, which travels to the data (the reference's `map.ts`).

`promise.map(lambda item: …)` runs the function once, here, on a placeholder. What it calls and
reads is recorded as instructions instead of being sent; the other stubs that it uses are captures.
Instructions and captures go to the peer in one `remap` message; what is done with them there stands
in `map_work.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any, Final

from ..core.hooks import Hook, Pulled, recording
from ..core.late import late
from ..core.payload import Payload
from ..core.served_calls import ServedCalls
from ..core.stubs import Path, RpcPromise, RpcStub
from ..core.watches import Watch
from ..deferred import Deferred
from ..errors import RpcError
from ..streams.streams import ReadableStream, WritableStream
from .encoder import Encoder
from .map_work import MapWork

ABSTRACT: Final = (
    "A placeholder of a mapper function was used outside of recording. The function only describes"
    " what to do with each item: it must have no side effects, and it can't look at values."
)

NO_EXPORTS: Final = (
    "A mapper function can't make functions or objects by reference. Make an RpcStub outside of"
    " the function and use that inside."
)


class MapRecorder:
    """Records one mapper function (`Recorder`): an `Exporter` whose ids are those of
    instructions."""

    send_stack_traces = False
    calls = None

    def __init__(self, subject: Hook, path: Path, parent: MapRecorder | None) -> None:
        self._parent = parent
        self._subject = subject
        self._path = path
        self._steps: list[Any] = []
        self._captures: list[Hook] = []
        self._captured_ids: dict[int, tuple[Hook, int]] = {}
        self._parent_captures: list[int] = []
        self._parent_subject = parent.import_id(subject) if parent is not None else 0

    def record(self, function: Callable[[RpcPromise], Any]) -> Hook:
        """Run the function on a placeholder; the hook for the mapped result."""
        try:
            # In a context of its own: whatever comes out of it, nothing is recorded afterwards.
            copy_context().run(self._run, function)
        except BaseException:
            self._subject.runtime.step.run(self._drop_captures)
            raise
        if self._parent is not None:
            captures = [["import", index] for index in self._parent_captures]
            return self._parent._add(
                ["remap", self._parent_subject, self._path, captures, self._steps]
            )
        calls = self._subject.calls
        work = MapWork(calls, calls.limits)
        return calls.runtime.step.run(
            self._subject.map, self._path, self._captures, self._steps, work
        )

    def _run(self, function: Callable[[RpcPromise], Any]) -> None:
        recording.set(self)
        outcome = function(RpcPromise._of(MapVariableHook(self, 0), ()))
        self._subject.runtime.step.run(self._describe, outcome)

    def _describe(self, outcome: Any) -> None:
        self._steps.append(Encoder(self, Payload(outcome, "params")).encode())

    def _drop_captures(self) -> None:
        for capture in self._captures:
            capture.dispose()

    def _add(self, step: list[Any]) -> Hook:
        self._steps.append(step)
        return MapVariableHook(self, len(self._steps))

    def record_call(self, hook: Hook, path: Path, args: Payload) -> Hook:
        """Record a call; a placeholder for its result."""
        arguments = Encoder(self, args).encode()[0]
        return self._add(["pipeline", self.import_id(hook), path, arguments])

    def record_get(self, hook: Hook, path: Path) -> Hook:
        """Record a look at a property; a placeholder for it."""
        return self._add(["pipeline", self.import_id(hook), path])

    def import_id(self, hook: Hook) -> int:
        """The id of `hook` within the function, captured if it comes from outside."""
        if isinstance(hook, MapVariableHook) and hook.recorder is self:
            return hook.index
        known = self._captured_ids.get(id(hook))
        if known is not None:
            return known[1]
        if self._parent is not None:
            self._parent_captures.append(self._parent.import_id(hook))
            index = -len(self._parent_captures)
        else:
            self._captures.append(hook.dup())
            index = -len(self._captures)
        self._captured_ids[id(hook)] = (hook, index)
        return index

    def export_stub(self, hook: Hook) -> int:
        """Not within a mapper function."""
        hook.dispose()
        raise RpcError(NO_EXPORTS)

    export_promise = export_stub

    def export_sink(self, stream: WritableStream) -> int:
        """Not within a mapper function."""
        raise RpcError(NO_EXPORTS)

    def create_pipe(self, source: ReadableStream) -> int:
        """Not within a mapper function."""
        raise RpcError("A mapper function can't send a stream.")

    def unexport(self, ids: Iterable[int]) -> None:
        """There is nothing to take back."""


class MapVariableHook(Hook):
    """A placeholder: the input of a mapper function, or the result of one of its steps."""

    __slots__ = ("index", "recorder")

    def __init__(self, recorder: MapRecorder, index: int) -> None:
        self.recorder = recorder
        self.index = index

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        args.dispose()
        raise RpcError(ABSTRACT)

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        recorder = recording.get()
        if not path:
            return self
        if recorder is None:
            raise RpcError(ABSTRACT)
        return recorder.record_get(self, path)

    def dup(self) -> Hook:
        return self

    def pull(self) -> Pulled:
        return Deferred.failed(RpcError(ABSTRACT))

    def on_broken(self, watch: Watch) -> None:
        raise RpcError(ABSTRACT)

    def describe(self) -> str:
        return "a placeholder of a mapper function"


def map_stub(stub: RpcStub, function: Callable[[RpcPromise], Any]) -> RpcPromise:
    """Record `function` on a placeholder and send it to where the value of `stub` is; a promise for
    the mapped value (`RpcStub.map`). Raises what the function raises."""
    parent = recording.get()
    assert parent is None or isinstance(parent, MapRecorder)
    hook, path = stub._place()
    recorder = MapRecorder(hook, path, parent)
    return RpcPromise._of(recorder.record(function), ())


late.map_stub = map_stub
