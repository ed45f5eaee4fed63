"""Served calls: application code that runs because a peer asked for it.

A call is counted from the moment it is read until its arguments are disposed of, which is when it
is done; past the session's limit it is rejected. It runs as a job of the session's queue, never in
the reader and never inside a step.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .errors import RpcError, RpcTypeError, logger, redacted
from .limits import Limits
from .payload import Payload, copied
from .runtime import CallQueue, Runtime, default_runtime
from .stubs import RpcStub
from .target import RpcTarget, is_function, parameters_of, read_member
from .values import undefined

if TYPE_CHECKING:
    from .hooks import Hook, PromiseHook

Path = Sequence[str | int]


class ServedCalls:
    """The calls that one session serves: their queue, their number, their limit."""

    __slots__ = ("_queue", "limits", "runtime", "under_way")

    def __init__(self, runtime: Runtime, queue: CallQueue, limits: Limits) -> None:
        self.runtime = runtime
        self._queue = queue
        self.limits = limits
        self.under_way = 0

    def begin(self) -> None:
        """Count one more. Raises RpcError with the code `too_many` past the limit."""
        if self.under_way >= self.limits.max_calls:
            raise RpcError(
                f"More than {self.limits.max_calls} calls are under way on this connection."
                " Wait for some of them to finish.",
                code="too_many",
            )
        self.under_way += 1

    def end(self) -> None:
        """One is done."""
        self.under_way -= 1

    def failure(self, error: BaseException) -> BaseException:
        """What becomes known of an exception that a call raised. Outside of a step: it may write
        to the log."""
        return redacted(error)

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` in its turn."""
        self._queue.start(job)

    def notify(self, function: Callable[..., Any], *args: Any) -> None:
        """Run application code that nobody waits for; what it raises goes to the log."""
        self._queue.start(Notice(function, args))


class Notice:
    """A call without an answer: a callback of the application on this side."""

    __slots__ = ("_args", "_function")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args

    def __call__(self) -> None:
        try:
            self._function(*self._args)
        except BaseException:
            logger.exception("The callback %r failed", self._function)


LOCAL_LIMITS = Limits(max_calls=2**31)
"""The application may ask of itself what it likes."""


class LocalCalls(ServedCalls):
    """Calls that the application makes of its own targets: it learns what they raised."""

    __slots__ = ()

    def failure(self, error: BaseException) -> BaseException:
        return error


_local: LocalCalls | None = None


def local_calls() -> ServedCalls:
    """For calls on local targets that no session makes, such as on `RpcStub(target)`."""
    global _local
    runtime = default_runtime()
    if _local is None or _local.runtime is not runtime:
        _local = LocalCalls(runtime, runtime.call_queue(), LOCAL_LIMITS)
    return _local


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
            raise RpcTypeError(f"Cannot read the property {part!r} of undefined.")
        else:
            value = undefined
    return value, len(path)


class ServedCall:
    """One call of, or one look at, something of the application's.

    `args` is None for reading a property. The result is resolved with a hook for what comes out.
    """

    __slots__ = ("_args", "_calls", "_path", "_reading", "_result", "_target")

    def __init__(
        self,
        target: Any,
        path: Path,
        args: Payload | None,
        result: PromiseHook,
        calls: ServedCalls,
    ) -> None:
        self._target = target
        self._path = path
        self._args = args
        self._reading = args is None
        self._result = result
        self._calls = calls

    def submit(self) -> None:
        """Start it in its turn, once no argument is a promise any more."""
        args = self._args
        if args is None:
            self._calls.begin()
            self._calls.start(self)
            return
        delivery = args.deliver()
        if delivery.settled and delivery.error is None:
            self._calls.start(self)
        else:
            delivery.add_callback(self._delivered)

    def _delivered(self, delivery: Any) -> None:
        if delivery.error is None:
            self._calls.start(self)
        else:
            self._settle(None, delivery.error)

    def __call__(self) -> None:
        try:
            outcome = self._run()
        except BaseException as error:
            self._finish(None, self._calls.failure(error))
            return
        self._target = None  # it may be what holds the Future
        if isinstance(outcome, concurrent.futures.Future):
            outcome.add_done_callback(self._future_done)
        else:
            self._finish(outcome, None)

    def _run(self) -> Any:
        """Application code. The value that comes out; a hook if the rest is elsewhere."""
        target, path, at = self._target, self._path, 0
        while at < len(path) and not isinstance(target, RpcStub):
            if isinstance(target, RpcTarget):
                target, at = read_member(target, path[at]), at + 1
            else:
                target, at = follow(target, path, at)
        ended = at == len(path)
        if isinstance(target, RpcStub) and not (
            ended and self._reading and target._path is None  # the stub itself is the value
        ):
            path = (*(target._path or ()), *path[at:])
            args, self._args = self._args, None
            with self._calls.runtime.step:
                if args is None:
                    return target._hook.get(path, self._calls)
                return call_hook(target._hook, path, args, self._calls)
        if self._args is None:
            return target
        if not ended or not is_function(target):
            raise not_a_function(path)
        return target(*parameters_of(target).bind(self._args.value))

    def _future_done(self, future: concurrent.futures.Future[Any]) -> None:
        """The returned Future is done, in whichever thread."""

        def settle() -> None:
            if future.cancelled():
                self._finish(None, RpcError("The call was cancelled.", code="cancelled"))
            elif (error := future.exception()) is not None:
                self._finish(None, self._calls.failure(error))
            else:
                self._finish(future.result(), None)

        self._calls.runtime.enter(settle)

    def _finish(self, outcome: Any, error: BaseException | None) -> None:
        with self._calls.runtime.step:
            self._settle(outcome, error)

    def _hook_for(self, outcome: Any) -> Hook:
        """A hook for what came out. A stub out of the arguments may be returned as it is: it is
        duplicated before the arguments end."""
        from .hooks import Hook, PayloadHook

        if isinstance(outcome, Hook):
            return outcome
        if self._reading:
            return PayloadHook(copied(outcome, None))
        payload = Payload(outcome, "return")
        if self._args is not None and (self._args.hooks or self._args.promises):
            try:
                payload.own()
            except BaseException:
                payload.dispose()
                raise
        return PayloadHook(payload)

    def _settle(self, outcome: Any, error: BaseException | None) -> None:
        from .hooks import ErrorHook, attempt

        hook = ErrorHook(error) if error is not None else attempt(self._hook_for, outcome)
        if self._args is not None:
            self._args.dispose()
        elif self._reading:
            self._calls.end()
        result = self._result
        # The frames of an exception hold this call, and what waits for the result the exception.
        del self._result, self._args, self._target
        result.resolve(hook)


def call_hook(hook: Hook, path: Path, args: Payload, calls: ServedCalls) -> Hook:
    """Call `hook`. The arguments are taken over whatever happens: also where a peer has made the
    way to the target longer than Python's stack."""
    try:
        return hook.call(tuple(path), args, calls)
    except BaseException:
        args.dispose()
        raise


def not_a_function(path: Path) -> RpcTypeError:
    """The error for calling what can't be called, in the reference's words."""
    return RpcTypeError(f"'{'.'.join(map(str, path))}' is not a function.")


def start_call(target: Any, path: Path, args: Payload | None, calls: ServedCalls) -> Hook:
    """Serve a call of `target` (an `RpcTarget` or a function), or read a property of it; a hook
    for the result."""
    from .hooks import ErrorHook, PromiseHook

    result = PromiseHook(calls)
    try:
        ServedCall(target, path, args, result, calls).submit()
    except RpcError as error:
        return ErrorHook(error)
    return result
