"""Hooks: what stands behind a stub.

Every stub, promise and table entry is a hook, of one of these kinds:

    ImportHook    something at the peer (in `imports.py`)
    TargetHook    an `RpcTarget` or function of the application's
    PayloadHook   a value that is here
    PromiseHook   a hook that will be here later
    ErrorHook     the failure that took its place

A hook has one owner, who disposes of it once. `call`, `get` and `map` return a new hook for the
caller to own; `call` takes the arguments over, whatever happens. All of it runs under the step.
They may raise what the application should see at once (a value that can't be sent, a session that
is over). The reference has the same kinds (`StubHook` in its `core.ts`).
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .calls import ServedCalls, call_hook, follow, local_calls, not_a_function, start_call
from .deferred import Deferred
from .errors import RpcError, RpcTypeError, again
from .payload import Payload, copied
from .runtime import Runtime
from .stubs import RpcStub
from .target import DISPOSER, RpcTarget, is_function

if TYPE_CHECKING:
    from .map import MapRecorder, MapWork
    from .stubs import Path

Pulled = Payload | Deferred[Payload]
OnBroken = Callable[[BaseException], Any]

recording: ContextVar[MapRecorder | None] = ContextVar("recording", default=None)
"""The recorder whose mapper function is running; calls are recorded instead of sent."""


class Hook:
    """What stands behind a stub. See the top of this file."""

    __slots__ = ()

    @property
    def calls(self) -> ServedCalls:
        """Where callbacks of the application about this hook run."""
        return local_calls()

    @property
    def runtime(self) -> Runtime:
        """Whose step guards this hook."""
        return self.calls.runtime

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        """Call what `path` leads to; if it is here, as one of `calls`."""
        raise NotImplementedError

    def stream(self, path: Path, args: Payload) -> tuple[Deferred[Any], int | None]:
        """Call for a write to a stream: when it has been taken, and the bytes that were sent for
        it; None if nothing was sent."""
        result = self.call(path, args, self.calls)
        answer = result.deliver()
        answer.add_callback(lambda _: result.dispose())
        return answer, None

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        """What `path` leads to; a property of an object that is here is read as one of `calls`."""
        raise NotImplementedError

    def map(self, path: Path, captures: list[Hook], steps: list[Any], work: MapWork) -> Hook:
        """Apply a recorded function (see `map.py`) to what `path` leads to, or to each item of
        it; takes the captures over."""
        for capture in captures:
            capture.dispose()
        return ErrorHook(RpcTypeError("This can't be mapped."))

    def dup(self) -> Hook:
        """Another hook for the same thing."""
        raise NotImplementedError

    def pull(self) -> Pulled:
        """The value, which stays this hook's: now, or later. Never raises."""
        raise NotImplementedError

    def dispose(self) -> None:
        """Let go. Without effect the second time."""

    def on_broken(self, callback: OnBroken) -> None:
        """Have `callback(error)` run when every further use would fail."""

    def describe(self) -> str:
        """A few words for `repr`."""
        return type(self).__name__

    def invoke(self, path: Path, args: Sequence[Any]) -> Hook:
        """Call with the application's own arguments."""
        with self.runtime.step:
            recorder = recording.get()
            if recorder is not None:
                return recorder.record_call(self, path, Payload(list(args), "params"))
            return self.call(path, Payload(list(args), "params"), self.calls)

    def deliver(self) -> Deferred[Any]:
        """The value for the application, every promise in it replaced."""
        pulled = self.pull()
        if isinstance(pulled, Payload):
            return pulled.deliver()
        delivery: Deferred[Any] = Deferred()

        def arrived(pulled: Deferred[Payload]) -> None:
            if pulled.error is not None:
                delivery.reject(pulled.error)
            else:
                delivery.follow(pulled.value.deliver())  # type: ignore[union-attr]

        pulled.add_callback(arrived)
        return delivery


def attempt(action: Callable[..., Hook], *args: Any) -> Hook:
    """The hook that `action` gives, or one for its failure: for chains that nobody watches."""
    try:
        return action(*args)
    except Exception as error:
        return ErrorHook(error)


class ErrorHook(Hook):
    """A failure: whatever is done with it fails with `error`."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        args.dispose()
        return self

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        return self

    def map(self, path: Path, captures: list[Hook], steps: list[Any], work: MapWork) -> Hook:
        for capture in captures:
            capture.dispose()
        return self

    def dup(self) -> Hook:
        return self

    def pull(self) -> Pulled:
        return Deferred.failed(self.error)

    def on_broken(self, callback: OnBroken) -> None:
        self.calls.notify(callback, self.error)

    def describe(self) -> str:
        return f"failed: {self.error!r}"


class DisposedHook(ErrorHook):
    """What a disposed stub holds. Using one is a mistake of this side, so it raises at once."""

    __slots__ = ()

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        args.dispose()
        raise again(self.error)

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        raise again(self.error)

    def dup(self) -> Hook:
        raise again(self.error)

    def describe(self) -> str:
        return "disposed"


DISPOSED = DisposedHook(RpcError("This stub was used after it had been disposed of."))


class ValueHook(Hook):
    """Something that is here, whose parts a path can reach."""

    __slots__ = ()

    def _value(self) -> Any:
        raise NotImplementedError

    def _owner(self) -> Payload | None:
        raise NotImplementedError

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        try:
            value, at = follow(self._value(), path)
        except RpcError as error:
            args.dispose()
            return ErrorHook(error)
        if isinstance(value, RpcStub):
            return value._hook.call((*(value._path or ()), *path[at:]), args, calls)
        if isinstance(value, RpcTarget) or is_function(value):
            return start_call(value, path[at:], args, calls)
        args.dispose()
        return ErrorHook(not_a_function(path))

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        try:
            value, at = follow(self._value(), path)
        except RpcError as error:
            return ErrorHook(error)
        rest = path[at:]
        if isinstance(value, RpcStub) and (rest or value._path is not None):
            return value._hook.get((*(value._path or ()), *rest), calls)
        if isinstance(value, RpcTarget) and rest:
            return start_call(value, rest, None, calls)
        owner = self._owner()
        if owner is None and not path:
            return ErrorHook(RpcError("An object that is passed by reference has no value."))
        return PayloadHook(copied(value, owner))

    def map(self, path: Path, captures: list[Hook], steps: list[Any], work: MapWork) -> Hook:
        from .map import apply_map

        try:
            value, at = follow(self._value(), path)
        except RpcError as error:
            return ErrorHook(error).map(path, captures, steps, work)
        if isinstance(value, RpcStub):
            return value._hook.map((*(value._path or ()), *path[at:]), captures, steps, work)
        if at < len(path):
            # The value of a property: reading it is application code, so the map comes later.
            return self.get(path, work.calls).map((), captures, steps, work)
        return attempt(apply_map, value, self._owner(), captures, steps, work)


class PayloadHook(ValueHook):
    """A value, with what it owns."""

    __slots__ = ("_payload",)

    def __init__(self, payload: Payload) -> None:
        self._payload: Payload | None = payload

    def _open(self) -> Payload:
        if self._payload is None:
            raise RpcError("This value was used after it had been disposed of.")
        return self._payload

    def _value(self) -> Any:
        return self._open().value

    def _owner(self) -> Payload | None:
        return self._open()

    def dup(self) -> Hook:
        payload = self._open()
        return PayloadHook(copied(payload.value, payload))

    def pull(self) -> Pulled:
        try:
            return self._open()
        except RpcError as error:
            return Deferred.failed(error)

    def dispose(self) -> None:
        payload, self._payload = self._payload, None
        if payload is not None:
            payload.dispose()

    def on_broken(self, callback: OnBroken) -> None:
        if self._payload is not None and isinstance(self._payload.value, RpcStub):
            self._payload.value._hook.on_broken(callback)

    def describe(self) -> str:
        return "a value"


class TargetHook(ValueHook):
    """An `RpcTarget` or function of the application's.

    All duplicates of one hook count together; the target learns of it when the last has gone.
    """

    __slots__ = ("_calls", "_count", "_target")

    def __init__(self, target: Any, duplicate_of: TargetHook | None = None) -> None:
        self._target: Any = target
        self._calls: ServedCalls | None = None
        self._count: list[int] | None = None
        if duplicate_of is not None:
            self._calls = duplicate_of._calls
            self._count = duplicate_of._count
            if self._count is not None:
                self._count[0] += 1
        elif hasattr(type(target), DISPOSER):
            self._count = [1]

    @property
    def calls(self) -> ServedCalls:
        return self._calls or local_calls()

    def serve_on(self, calls: ServedCalls) -> None:
        """Run what this hook starts by itself as one of `calls`, the session's that sends it."""
        self._calls = calls

    def _value(self) -> Any:
        if self._target is None:
            raise RpcError("This object was used after it had been disposed of.")
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

    def describe(self) -> str:
        return f"for {self._target!r}"


class PromiseHook(Deferred[Hook], Hook):
    """A hook that will be here later: what a served call gives, or a `Future` of the
    application's. Calls of it wait in the order in which they came, without a thread.

    A callback that waits for it does not refer to it: the two would keep each other alive.
    """

    __slots__ = ("_calls",)

    value: Hook

    def __init__(self, calls: ServedCalls) -> None:
        super().__init__()
        self._calls = calls

    @property
    def calls(self) -> ServedCalls:
        return self._calls

    def resolve(self, hook: Hook) -> None:
        """Settle with `hook`; with what it stands for if it is a promise itself, so that calls of
        this one wait in one place however many promises there are on the way."""
        if isinstance(hook, PromiseHook):
            hook.add_callback(self._copy)
        else:
            super().resolve(hook)

    def _later(self, action: Callable[[Hook], Hook]) -> Hook:
        """The hook that `action` gives once this is here."""
        result = PromiseHook(self._calls)
        self.add_callback(lambda here: result.resolve(attempt(action, hook_in(here))))
        return result

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        if self.settled:
            return self.value.call(path, args, calls)
        args.own()
        return self._later(lambda hook: call_hook(hook, path, args, calls))

    def map(self, path: Path, captures: list[Hook], steps: list[Any], work: MapWork) -> Hook:
        if self.settled:
            return self.value.map(path, captures, steps, work)
        return self._later(lambda hook: hook.map(path, captures, steps, work))

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        if self.settled:
            return self.value.get(path, calls)
        return self._later(lambda hook: hook.get(path, calls))

    def dup(self) -> Hook:
        if self.settled:
            return self.value.dup()
        return self._later(lambda hook: hook.dup())

    def pull(self) -> Pulled:
        if self.settled:
            return self.value.pull()
        result: Deferred[Payload] = Deferred()

        def arrived(here: Deferred[Hook]) -> None:
            pulled = hook_in(here).pull()
            if isinstance(pulled, Payload):
                result.resolve(pulled)
            else:
                result.follow(pulled)

        self.add_callback(arrived)
        return result

    def dispose(self) -> None:
        if self.settled:
            self.value.dispose()
        else:
            self.add_callback(lambda here: hook_in(here).dispose())

    def on_broken(self, callback: OnBroken) -> None:
        self.add_callback(lambda here: hook_in(here).on_broken(callback))

    def describe(self) -> str:
        return self.value.describe() if self.settled else "still under way"


def hook_in(promise: Deferred[Hook]) -> Hook:
    """What a settled `PromiseHook` stands for."""
    assert promise.value is not None
    return promise.value


def hook_for_value(value: Any) -> Hook:
    """A hook for a value of the application's, which the core owns from now on."""
    if isinstance(value, RpcTarget) or is_function(value):
        return TargetHook(value)
    return PayloadHook(Payload(value, "return"))


def hook_for_promise(value: Any) -> Hook:
    """A hook for a `concurrent.futures.Future`, or for a value that is there."""
    if not isinstance(value, concurrent.futures.Future):
        return hook_for_value(value)
    calls = local_calls()
    promise = PromiseHook(calls)

    def settle() -> None:
        with calls.runtime.step:
            if value.cancelled():
                promise.resolve(ErrorHook(RpcError("The call was cancelled.", code="cancelled")))
            elif (error := value.exception()) is not None:
                promise.resolve(ErrorHook(error))
            else:
                promise.resolve(hook_for_value(value.result()))

    value.add_done_callback(lambda _: calls.runtime.enter(settle))
    return promise
