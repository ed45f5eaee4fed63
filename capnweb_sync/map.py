"""`.map()`: a function that travels to the data (the reference's `map.ts`).

**Recording.** `promise.map(lambda item: …)` runs the function once, here, on a placeholder. What it
calls and reads is recorded as instructions instead of being sent; the other stubs that it uses are
captures. Instructions and captures go to the peer in one `remap` message.

**Applying.** The instructions are evaluated for the value, or for each item of a list. Within them
id 0 is the input, positive ids are the results of earlier instructions, negative ones the captures.
They may refer to nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from .calls import ServedCalls
from .decoder import Decoder, evaluate_hook
from .deferred import Deferred
from .encoder import Encoder
from .errors import RpcError
from .here import PayloadHook
from .hooks import Hook, Pulled, recording
from .limits import Limits
from .payload import Payload, copied, weight
from .stubs import RpcPromise, RpcStub
from .values import undefined
from .watch import Watch

if TYPE_CHECKING:
    from .streams import ReadableStream, WritableStream
    from .stubs import Path

ABSTRACT: Final = (
    "A placeholder of a mapper function was used outside of recording. The function only describes"
    " what to do with each item: it must have no side effects, and it can't look at values."
)

NO_EXPORTS: Final = (
    "A mapper function can't make functions or objects by reference. Make an RpcStub outside of"
    " the function and use that inside."
)


class MapRecorder:
    """Records one mapper function. It is an `Exporter` whose ids are those of instructions."""

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
        token = recording.set(self)
        try:
            outcome = function(RpcPromise._of(MapVariableHook(self, 0), ()))
            with self._subject.runtime.step:
                self._steps.append(Encoder(self, Payload(outcome, "params")).encode())
        except BaseException:
            self._drop_captures()
            raise
        finally:
            recording.reset(token)
        if self._parent is not None:
            captures = [["import", index] for index in self._parent_captures]
            return self._parent._add(
                ["remap", self._parent_subject, self._path, captures, self._steps]
            )
        calls = self._subject.calls
        with calls.runtime.step:
            work = MapWork(calls, calls.limits)
            return self._subject.map(self._path, self._captures, self._steps, work)

    def _drop_captures(self) -> None:
        with self._subject.runtime.step:
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


class MapWork:
    """What the maps of one message may cost, shared with the maps inside."""

    __slots__ = ("calls", "limits", "steps")

    def __init__(self, calls: ServedCalls, limits: Limits) -> None:
        self.calls = calls
        self.limits = limits
        self.steps = limits.max_map_steps

    def take(self, steps: int) -> None:
        """Pay for `steps` instructions. Raises RpcError with the code `too_many`."""
        self.steps -= steps
        if self.steps < 0:
            raise RpcError(
                f"The map takes more than {self.limits.max_map_steps} steps.", code="too_many"
            )


class MapApplication:
    """One run of a mapper function: an `Importer` whose ids are its variables and captures."""

    __slots__ = ("_captures", "_variables", "_work")

    def __init__(self, captures: list[Hook], value: Payload, work: MapWork) -> None:
        self._captures = captures
        self._variables: list[Hook] = [PayloadHook(value)]
        self._work = work

    @property
    def limits(self) -> Limits:
        """Those of the session."""
        return self._work.limits

    @property
    def calls(self) -> ServedCalls:
        """Those of the session."""
        return self._work.calls

    def run(self, steps: list[Any]) -> Payload:
        """The value of the last instruction."""
        try:
            for step in steps[:-1]:
                self._variables.append(evaluate_hook(self, self._instruction(step)))
            return Decoder(self).evaluate(self._instruction(steps[-1]))
        finally:
            for variable in self._variables:
                variable.dispose()

    def _instruction(self, step: Any) -> Any:
        """A copy of an instruction, paid for by its size: decoding uses it up."""
        self._work.take(weight(step, self._work.steps))
        return json_copy(step)

    def export_hook(self, export_id: int) -> Hook | None:
        """The variable or capture with that id."""
        if export_id < 0:
            index, among = -export_id - 1, self._captures
        else:
            index, among = export_id, self._variables
        return among[index] if index < len(among) else None

    def import_stub(self, import_id: int) -> Hook:
        """Not within a mapper function."""
        raise RpcError("A mapper function cannot refer to exports.")

    import_promise = import_stub

    def pipe_readable(self, export_id: int) -> ReadableStream:
        """Not within a mapper function."""
        raise RpcError("A mapper function cannot use pipe readables.")

    def map_work(self) -> MapWork:
        """What is left for all of it."""
        return self._work


def apply_map(
    value: Any, owner: Payload | None, captures: list[Hook], steps: list[Any], work: MapWork
) -> Hook:
    """Apply a recorded function to `value`: to each item of a list, to nothing for null and
    undefined, else to the value itself. Raises RpcError for what the function may not do."""
    try:
        if not steps:
            raise RpcError("Invalid empty mapper function.")
        if value is None or value is undefined:
            return PayloadHook(Payload(value, "owned"))
        if not isinstance(value, list):
            return PayloadHook(_apply(value, owner, captures, steps, work))
        result = Payload([], "owned")
        try:
            for item in value:
                _append(result, _apply(item, owner, captures, steps, work))
        except BaseException:
            result.dispose()
            raise
        return PayloadHook(result)
    finally:
        for capture in captures:
            capture.dispose()


def _apply(
    value: Any, owner: Payload | None, captures: list[Hook], steps: list[Any], work: MapWork
) -> Payload:
    part = owner.part(value) if owner is not None else copied(value, None)
    return MapApplication(captures, part, work).run(steps)


def _append(result: Payload, item: Payload) -> None:
    """Make `item` the next of the list that `result` holds."""
    for hook in item.hooks:
        result.add_hook(hook)
    for container, key, promise in item.promises:
        if container is item:
            container, key = result.value, len(result.value)
        result.add_promise(container, key, promise)
    result.value.append(item.value)


def json_copy(value: Any) -> Any:
    """A copy of a JSON value."""
    if type(value) is list:
        return [json_copy(item) for item in value]
    if type(value) is dict:
        return {key: json_copy(item) for key, item in value.items()}
    return value


def map_stub(stub: RpcStub, function: Callable[[RpcPromise], Any]) -> RpcPromise:
    """See `RpcStub.map`."""
    recorder = MapRecorder(*stub._place(), recording.get())
    hook: Hook = recorder.record(function)
    return RpcPromise._of(hook, ())
