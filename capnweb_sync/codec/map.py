"""`.map()`: a function that travels to the data (the reference's `map.ts`).

**Recording.** `promise.map(lambda item: …)` runs the function once, here, on a placeholder. What it
calls and reads is recorded as instructions instead of being sent; the other stubs that it uses are
captures. Instructions and captures go to the peer in one `remap` message.

**Applying.** The instructions are evaluated for the value, or for each item of a list. Within them
id 0 is the input, positive ids are the results of earlier instructions, negative ones the captures.
They may refer to nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any, Final

from ..core.budgets import count_values
from ..core.hooks import Hook, Pulled, recording
from ..core.late import late
from ..core.local_hooks import PayloadHook
from ..core.payload import Payload, copied
from ..core.served_calls import ServedCalls
from ..core.stubs import Path, RpcPromise, RpcStub
from ..core.watches import Watch
from ..deferred import Deferred
from ..errors import RpcError
from ..limits import Limits
from ..streams.streams import ReadableStream, WritableStream
from ..values.javascript import undefined
from .encoder import Encoder
from .evaluator import Evaluator, evaluate_hook

PARTS_PER_STEP: Final = 2
"""Values in an instruction that make it a step longer: a call has seven, a constant one."""

CHARACTERS_PER_STEP: Final = 512
"""Likewise for the characters of a text that is decoded; digits are the dearest."""

VALUES_PER_STEP: Final = 8
"""Values that are copied or sent in the time of a step, with room."""

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


class MapAllowance:
    """What the maps of one session may cost: so much in a second, and no more at once."""

    __slots__ = ("_left", "_rate", "_since")

    def __init__(self, limits: Limits) -> None:
        self._rate = limits.max_map_steps_per_second
        self._left: float = self._rate
        self._since = time.monotonic()

    def take(self, steps: int) -> None:
        """Pay for `steps`. Raises RpcError with the code `too_many`; nothing is paid then."""
        now = time.monotonic()
        self._left = min(self._rate, self._left + (now - self._since) * self._rate)
        self._since = now
        if steps > self._left:
            raise RpcError(
                f"The maps on this connection take more than {self._rate} steps in a second."
                " Wait a moment.",
                code="too_many",
            )
        self._left -= steps


class MapWork:
    """What the maps of one message may cost, shared with the maps inside; without an allowance
    what the application's own map may, which is as much as it likes."""

    __slots__ = ("_allowance", "_exceeded", "_steps_left", "calls", "limits")

    def __init__(
        self, calls: ServedCalls, limits: Limits, allowance: MapAllowance | None = None
    ) -> None:
        self.calls = calls
        self.limits = limits
        self._allowance = allowance
        self._exceeded = False
        self._steps_left = limits.max_map_steps

    def take(self, steps: int) -> None:
        """Pay for `steps` before making them. Raises RpcError with the code `too_many`; the maps
        around fail with it, too."""
        if self._allowance is None:
            return
        try:
            if steps > self._steps_left:
                raise RpcError(
                    f"The map takes more than {self.limits.max_map_steps} steps.", code="too_many"
                )
            self._allowance.take(steps)
        except RpcError:
            self._exceeded = True
            raise
        self._steps_left -= steps

    def check(self) -> None:
        """Raises RpcError with the code `too_many` if a map inside took too much."""
        if self._exceeded:
            raise RpcError("A map inside of the map takes too many steps.", code="too_many")

    def take_values(self, value: Any) -> None:
        """Pay for the values in `value`, which are copied or sent."""
        if self._allowance is not None:
            self.take(count_values(value, self._steps_left * VALUES_PER_STEP) // VALUES_PER_STEP)

    def take_instructions(self, steps: list[Any], items: int) -> None:
        """Pay for a mapper function that is applied to so many items."""
        if self._allowance is not None:
            self.take(items * sum(self._cost(step) for step in steps))

    def apply(
        self, value: Any, owner: Payload | None, captures: list[Hook], steps: list[Any]
    ) -> Hook:
        """Apply a recorded function to `value`: to each item of a list, to nothing for null and
        undefined, else to the value itself. Raises RpcError for what the function may not do."""
        try:
            if not steps:
                raise RpcError("Invalid empty mapper function.")
            if value is None or value is undefined:
                return PayloadHook(Payload(value, "owned"))
            self.take_instructions(steps, len(value) if isinstance(value, list) else 1)
            if owner is None or not owner.is_plain():
                self.take_values(value)
            if not isinstance(value, list):
                return self._kept(_apply(value, owner, captures, steps, self))
            result = Payload([], "owned")
            try:
                for item in value:
                    _append(result, _apply(item, owner, captures, steps, self))
            except BaseException:
                result.dispose()
                raise
            return self._kept(result)
        finally:
            for capture in captures:
                capture.dispose()

    def _kept(self, result: Payload) -> Hook:
        result.keep(self.calls.ledger)
        return PayloadHook(result)

    def _cost(self, instruction: Any) -> int:
        most = self._steps_left * PARTS_PER_STEP
        parts = count_values(instruction, most)
        if parts > most:
            return self._steps_left + 1
        return 1 + parts // PARTS_PER_STEP + characters(instruction) // CHARACTERS_PER_STEP


def characters(value: Any) -> int:
    """How many characters the texts in a JSON value have: bytes and big integers are texts, which
    are decoded for each item."""
    count, values = 0, [value]
    while values:
        value = values.pop()
        if type(value) is str:
            count += len(value)
        elif type(value) is list:
            values.extend(value)
        elif type(value) is dict:
            values.extend(value.values())
    return count


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
            # Decoding uses an expression up, hence the copies.
            for step in steps[:-1]:
                self._variables.append(evaluate_hook(self, json_copy(step)))
            result = Evaluator(self).evaluate(json_copy(steps[-1]))
            try:
                self._work.check()
                for _, _, promise in result.promises:
                    if isinstance(promise._hook, PayloadHook):
                        self._work.take_values(promise._hook.value)
            except RpcError:
                result.dispose()
                raise
            return result
        finally:
            for variable in self._variables:
                variable.dispose()

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
    """Record `function` on a placeholder and send it to where the value of `stub` is; a promise for
    the mapped value (`RpcStub.map`). Raises what the function raises."""
    parent = recording.get()
    assert parent is None or isinstance(parent, MapRecorder)
    hook, path = stub._place()
    recorder = MapRecorder(hook, path, parent)
    return RpcPromise._of(recorder.record(function), ())


late.map_stub = map_stub
