"""What is here: values and objects of this process, as hooks, and the calls that a peer makes of
them.

Reading a property and calling a method is application code. It runs as a `ServedCall`, in its turn;
walking through plain values is not, and happens at once.
"""

from __future__ import annotations

import concurrent.futures
from functools import partial
from typing import Any

from ..deferred import Deferred
from ..errors import RpcError, RpcTypeError, shortened
from ..futures import outcome_of
from ..values.javascript import undefined
from .hooks import (
    ErrorHook,
    Hook,
    Mapper,
    Pulled,
    attempt,
    failed,
    used_after_disposal,
)
from .late import late
from .payload import Payload, copied
from .promise_hooks import PromiseHook
from .served_calls import ServedCalls, local_calls
from .stubs import Path, RpcStub
from .targets import DISPOSER, RpcTarget, is_function
from .watches import Watch


class ValueHook(Hook):
    """Something that is here, whose parts a path can reach.

    `calls` are those of the session that has it in a table, if one has: what the application of
    this side starts by using it counts there, since the peer has chosen what it is.
    """

    __slots__ = ("_calls",)

    _calls: ServedCalls | None

    @property
    def calls(self) -> ServedCalls:
        return self._calls or local_calls()

    def serve_on(self, calls: ServedCalls) -> None:
        """Run what this hook starts by itself as one of `calls`, the session's that has it."""
        self._calls = calls

    def _value(self) -> Any:
        raise NotImplementedError

    def _owner(self) -> Payload | None:
        raise NotImplementedError

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        try:
            value, at = follow(self._value(), path)
        except RpcError as error:
            args.dispose()
            return failed(error)
        if isinstance(value, RpcStub):
            hook: Hook = value._hook
            return hook.call((*(value._path or ()), *path[at:]), args, calls)
        if isinstance(value, RpcTarget) or is_function(value):
            result: Hook = late.start_call(value, path[at:], args, calls)
            return result
        args.dispose()
        return ErrorHook(not_a_function(path))

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        try:
            value, at = follow(self._value(), path)
        except RpcError as error:
            return failed(error)
        rest = path[at:]
        if isinstance(value, RpcStub) and (rest or value._path is not None):
            hook: Hook = value._hook
            return hook.get((*(value._path or ()), *rest), calls)
        if isinstance(value, RpcTarget) and rest:
            result: Hook = late.start_call(value, rest, None, calls)
            return result
        owner = self._owner()
        if owner is None and not path:
            return ErrorHook(RpcError("An object that is passed by reference has no value."))
        part = owner.part(value) if owner is not None else copied(value, None)
        return PayloadHook(part, self.calls)

    def map(self, path: Path, captures: list[Hook], steps: list[Any], work: Mapper) -> Hook:
        try:
            value, at = follow(self._value(), path)
        except RpcError as error:
            return failed(error).map(path, captures, steps, work)
        if isinstance(value, RpcStub):
            hook: Hook = value._hook
            return hook.map((*(value._path or ()), *path[at:]), captures, steps, work)
        if at < len(path):
            # The value of a property: reading it is application code, so the map comes later.
            return self.get(path, work.calls).map((), captures, steps, work)
        owner = self._owner()
        if owner is None and not path:
            # The mapper gets a duplicate: its end must not be that of the object.
            value = RpcStub._of(self)
        return attempt(work.apply, value, owner, captures, steps)


class PayloadHook(ValueHook):
    """A value, with what it owns."""

    __slots__ = ("_payload",)

    def __init__(self, payload: Payload, calls: ServedCalls | None = None) -> None:
        self._payload: Payload | None = payload
        self._calls = calls

    def _open(self) -> Payload:
        if self._payload is None:
            raise used_after_disposal(self, "value")
        return self._payload

    @property
    def value(self) -> Any:
        """The value itself. Raises RpcError once it has been disposed of."""
        return self._open().value

    def _value(self) -> Any:
        return self.value

    def _owner(self) -> Payload | None:
        return self._open()

    def dup(self) -> Hook:
        payload = self._open()
        return PayloadHook(payload.part(payload.value), self._calls)

    def pull(self) -> Pulled:
        try:
            return self._open()
        except RpcError as error:
            return Deferred.failed(error)

    def dispose(self) -> None:
        payload, self._payload = self._payload, None
        if payload is not None:
            payload.dispose()

    def own(self, watch: Watch) -> None:
        if self._payload is not None and isinstance(self._payload.value, RpcStub):
            self._payload.value._hook.own(watch)

    def on_broken(self, watch: Watch) -> None:
        if self._payload is not None and isinstance(self._payload.value, RpcStub):
            self._payload.value._hook.on_broken(watch)

    def describe(self) -> str:
        if self._payload is None:
            return "disposed"
        return f"a value of type {type(self._payload.value).__name__}"


class TargetHook(ValueHook):
    """An `RpcTarget` or function of the application's.

    All duplicates of one hook count together; the target learns of it when the last has gone.
    """

    __slots__ = ("_count", "_target", "came_with")

    def __init__(self, target: Any, duplicate_of: TargetHook | None = None) -> None:
        self._target: Any = target
        self._calls = None
        self._count: list[int] | None = None
        if duplicate_of is not None:
            self._calls = duplicate_of._calls
            self._count = duplicate_of._count
            if self._count is not None:
                self._count[0] += 1
        elif hasattr(type(target), DISPOSER):
            self._count = [1]

    @property
    def target(self) -> Any:
        """The target or function; None once it was disposed of."""
        return self._target

    def _value(self) -> Any:
        if self._target is None:
            raise used_after_disposal(self, "object")
        return self._target

    def _owner(self) -> None:
        return None

    def dup(self) -> TargetHook:
        return TargetHook(self._value(), self)

    def pull(self) -> Pulled:
        return Deferred.failed(RpcError("An object that is passed by reference has no value."))

    def dispose(self) -> None:
        target, self._target = self._target, None
        if target is not None and self._count is not None:
            self._count[0] -= 1
            if self._count[0] == 0:
                self.calls.notify(getattr(target, DISPOSER))

    def note_call(self, path: Path) -> None:
        self.came_with = path

    def describe(self) -> str:
        return f"for {self._target!r}"


def follow(value: Any, path: Path, start: int = 0) -> tuple[Any, int]:
    """Walk from `value` along `path`, from its part `start` on, through plain values.

    Returns the value reached and how far along the path that is: not to its end only where the
    walk must go on elsewhere, at a stub or at an `RpcTarget`, whose properties are application
    code. Raises RpcTypeError where JavaScript would: a property of `undefined`. (`followPath` in
    the reference's `core.ts`.)
    """
    for index in range(start, len(path)):
        if isinstance(value, (RpcStub, RpcTarget)):
            return value, index
        part = path[index]
        if isinstance(value, dict):
            value = value.get(part if isinstance(part, str) else str(part), undefined)
        elif isinstance(value, (list, tuple)):
            inside = isinstance(part, int) and 0 <= part < len(value)
            value = value[part] if inside else undefined  # type: ignore[index]
        elif value is undefined:
            raise RpcTypeError(f"Cannot read the property {shortened(repr(part))} of undefined.")
        else:
            value = part_of_data(value, part)
    return value, len(path)


def part_of_data(value: Any, part: str | int) -> Any:
    """A part of an object of a dataclass and the like, as it would be sent; undefined of other
    values. Raises RpcTypeError if it can't be sent."""
    try:
        plain = late.open_data(value)
    except TypeError as error:
        raise RpcTypeError(str(error)) from None
    return undefined if plain is undefined else follow(plain, (part,))[0]


def not_a_function(path: Path) -> RpcTypeError:
    """The error for calling what can't be called, in the reference's words."""
    return RpcTypeError(f"'{shortened('.'.join(map(str, path)))}' is not a function.")


def hook_for_value(value: Any) -> ValueHook:
    """A hook for a value of the application's, which the core owns from now on."""
    if isinstance(value, RpcTarget) or is_function(value):
        return TargetHook(value)
    return PayloadHook(Payload(value, "return"))


def hook_for_promise(value: Any) -> Hook:
    """A hook for a `concurrent.futures.Future`, or for a value that is there."""
    if not isinstance(value, concurrent.futures.Future):
        return PayloadHook(Payload(value, "return"))
    calls = local_calls()
    promise = PromiseHook(calls)

    def settle() -> None:
        here, error = outcome_of(value)
        if error is not None:
            promise.resolve(ErrorHook(error))
        else:
            promise.resolve(PayloadHook(Payload(here, "return")))

    enter = calls.runtime.enter
    value.add_done_callback(lambda _: enter(partial(calls.runtime.step.run, settle)))
    return promise


late.hook_for_target = TargetHook
late.hook_for_value = hook_for_value
late.hook_for_promise = hook_for_promise
