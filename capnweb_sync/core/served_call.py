"""One served call: application code that a peer asked for, from its arguments to its result.

Reading a property of an `RpcTarget` is a call, too. It starts once no argument is a promise any
more (`ServedCalls` says when its turn is), runs outside of the step, and settles the hook that
stands for its result; a returned `concurrent.futures.Future` settles it when that is done.

`Job` is what is the same for the plainest of calls, which the session makes for itself.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from time import perf_counter
from typing import Any

from ..errors import RpcError
from ..futures import outcome_of
from ..runtimes.steps import serving
from .arguments import parameters_of
from .hooks import ErrorHook, Hook, attempt, call_hook, failed
from .late import late
from .ledger import NOTHING
from .local_hooks import PayloadHook, follow, not_a_function
from .lookup import Lookup
from .payload import Payload, copied
from .promise_hooks import PromiseHook
from .served_calls import ServedCalls
from .stubs import Path, RpcStub
from .targets import RpcTarget, is_function, read_member


class Job:
    """How application code is run as a job, and its outcome taken into a step. What it is, and
    whose outcome, says the class: `ServedCall`, and `PlainCall` of the session."""

    __slots__ = ()

    _calls: ServedCalls
    _target: Any

    def __call__(self) -> None:
        try:
            self._perform()
        except BaseException:
            # Not the application's: it has come between the call and its answer.
            self._calls.interrupt()
            raise

    def _perform(self) -> None:
        try:
            outcome = self._run()
        except BaseException as error:
            self._fail(error)
            return
        self._target = None  # it may be what holds the Future
        if isinstance(outcome, concurrent.futures.Future):
            if isinstance(outcome, Lookup):
                self._calls.runtime.step.run(self._when_unused, outcome.cancel)
            outcome.add_done_callback(self._future_done)
        else:
            self._finish(outcome, None)

    def _run(self) -> Any:
        """Application code. The value that comes out; a hook if the rest is elsewhere."""
        raise NotImplementedError

    def _future_done(self, future: concurrent.futures.Future[Any]) -> None:
        """The returned Future is done, in whichever thread."""

        def settle() -> None:
            value, error = outcome_of(future)
            if error is None:
                self._finish(value, None)
            else:
                self._fail(error)

        self._calls.runtime.enter(settle)

    def _fail(self, error: BaseException) -> None:
        """Application code has raised `error`."""
        calls = self._calls
        if calls.seen is not None:
            calls.seen.failed(self, error)
        path, _ = self.called()
        if calls.counts is not None:
            calls.counts.fails(first_name(path), error, calls.session)
        self._finish(None, calls.failure(error, path))

    def called(self) -> tuple[Path, bool]:
        """What the peer has called, or whether it only looks at it: for people."""
        raise NotImplementedError

    def _finish(self, outcome: Any, error: BaseException | None) -> None:
        self._calls.runtime.step.run(self._complete, outcome, error)

    def _complete(self, outcome: Any, error: BaseException | None) -> None:
        calls = self._calls
        calls.change()
        if calls.seen is not None:
            calls.seen.served(self, error)
        calls.renew_copies()
        before, serving.calls = serving.calls, calls
        try:
            self._settle(outcome, error)
        finally:
            serving.calls = before
        if calls.ledger.overdrawn:
            calls.end_overdrawn()

    def _settle(self, outcome: Any, error: BaseException | None) -> None:
        """The outcome is there. Under the step."""
        raise NotImplementedError

    def _when_unused(self, function: Callable[[], object]) -> None:
        """Call `function` if it turns out, or is so already, that nobody waits for the outcome.
        Under the step."""
        raise NotImplementedError


class ServedCall(Job):
    """One call of, or one look at, something of the application's.

    `args` is None for reading a property. The result is resolved with a hook for what comes out.
    """

    __slots__ = ("_args", "_began", "_calls", "_path", "_reading", "_result", "_target")

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
        self._began = 0.0

    def submit(self) -> None:
        """Start it in its turn, once no argument is a promise any more."""
        args = self._args
        if args is None:
            self._calls.begin()
            self._calls.start(self)
            return
        if args.source == "owned" and not args.promises:
            self._calls.start(self)
        else:
            self._calls.admit(args)
            args.deliver(self._calls.take).add_callback(self._delivered)

    def _delivered(self, delivery: Any) -> None:
        if delivery.error is None:
            self._calls.start(self)
        else:
            self._settle(None, delivery.error)

    def called(self) -> tuple[Path, bool]:
        return self._path, self._reading

    def _complete(self, outcome: Any, error: BaseException | None) -> None:
        counts = self._calls.counts
        if counts is not None and error is None and not self._reading:
            counts.timed(first_name(self._path), self._began)
        super()._complete(outcome, error)

    def _run(self) -> Any:
        self._began = perf_counter()
        target, path, at = self._target, self._path, 0
        while at < len(path) and not isinstance(target, RpcStub):
            if isinstance(target, RpcTarget):
                target, at = read_member(target, path[at]), at + 1
            else:
                # As a step, like anywhere else: who pays for what is opened is only known there.
                target, at = self._calls.runtime.step.run(follow, target, path, at)
        ended = at == len(path)
        if isinstance(target, RpcStub) and not (
            ended and self._reading and target._path is None  # the stub itself is the value
        ):
            path = (*(target._path or ()), *path[at:])
            args, self._args = self._args, None
            step = self._calls.runtime.step
            if args is None:
                return step.run(target._hook.get, path, self._calls)
            return step.run(call_hook, target._hook, path, args, self._calls)
        if self._args is None:
            return target
        if not ended or not is_function(target):
            raise not_a_function(path)
        return target(*parameters_of(target).bind(self._args.value))

    def _hook_for(self, outcome: Any) -> Hook:
        """A hook for what came out. A stub out of the arguments may be returned as it is: it is
        duplicated before the arguments end."""
        if isinstance(outcome, Hook):
            return outcome
        if self._reading:
            payload = copied(outcome, None)
            payload.keep(self._calls.ledger)
            return PayloadHook(payload, self._calls)
        payload = Payload(outcome, "return")
        if self._args is not None and (self._args.hooks or self._args.promises):
            try:
                payload.own()
            except BaseException:
                payload.dispose()
                raise
        if type(outcome) not in NOTHING:
            payload.keep(self._calls.ledger)
        return PayloadHook(payload, self._calls)

    def _when_unused(self, function: Callable[[], object]) -> None:
        self._result.when_unused(function)

    def _settle(self, outcome: Any, error: BaseException | None) -> None:
        hook = (
            ErrorHook(error, self._calls.ledger)
            if error is not None
            else attempt(self._hook_for, outcome)
        )
        if self._args is not None:
            self._args.dispose(self._path)
        elif self._reading:
            self._calls.end()
        result = self._result
        # The frames of an exception hold this call, and what waits for the result the exception.
        del self._result, self._args, self._target, self._path
        result.resolve(hook)


def first_name(path: Path) -> str:
    """What is called, for who counts: of the names that lead further there may be any number."""
    return str(path[0]) if path else "()"


def start_call(target: Any, path: Path, args: Payload | None, calls: ServedCalls) -> Hook:
    """Serve a call of `target` (an `RpcTarget` or a function), or read a property of it; a hook
    for the result."""
    result = PromiseHook(calls)
    try:
        ServedCall(target, path, args, result, calls).submit()
    except RpcError as error:
        return failed(error)
    return result


late.start_call = start_call
