"""The receiving side of streams: what takes the chunks that a peer writes.

`Pipe` holds chunks until its reader here takes them. The hooks are what a peer's `write`, `close`
and `abort` reach: the writing end of a pipe, or a `WritableStream` of the application's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from capnweb_sync.streams.pipe import Pipe

from ..core.hooks import ErrorHook, Hook, Pulled, failed
from ..core.ledger import kept
from ..core.local_hooks import PayloadHook
from ..core.payload import Payload
from ..core.promise_hooks import PromiseHook
from ..core.served_calls import Callback, ServedCalls
from ..core.stubs import Path
from ..deferred import Deferred, trampoline
from ..errors import RpcError
from ..values.javascript import undefined

METHODS: Final = ("write", "close", "abort")


class SinkState:
    """What all duplicates of a sink's hook share.

    Attributes:
        waiting: calls that wait for the one under way; None while none is.
    """

    __slots__ = ("closed", "hooks", "waiting")

    def __init__(self) -> None:
        self.hooks = 1
        self.closed = False
        self.waiting: deque[tuple[str, Payload, PromiseHook]] | None = None


class SinkHook(Hook):
    """The receiving side of a WritableStream: calls of `write`, `close` and `abort`, performed
    one after another whatever they take. It belongs to the session whose calls it has."""

    __slots__ = ("_calls", "_state")

    def __init__(self, calls: ServedCalls, state: SinkState | None = None) -> None:
        self._calls = calls
        self._state: SinkState | None = state or SinkState()

    @property
    def calls(self) -> ServedCalls:
        return self._calls

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        state = self._state
        if state is None or len(path) != 1 or path[0] not in METHODS:
            args.dispose()
            return ErrorHook(
                RpcError(
                    "The stream has been disposed of."
                    if state is None
                    else "A WritableStream has write, close and abort only."
                )
            )
        method = str(path[0])
        try:
            if method == "write":
                calls.begin_write(args)
            self._calls.admit(args)
        except RpcError as error:
            args.dispose()
            return failed(error)
        result = PromiseHook(calls)
        if state.waiting is not None:
            state.waiting.append((method, args, result))
        else:
            state.waiting = deque([(method, args, result)])
            self._next(state)
        return result

    def _next(self, state: SinkState) -> None:
        if not state.waiting:
            state.waiting = None
            return
        method, args, result = state.waiting.popleft()

        def done(outcome: Deferred[Any]) -> None:
            args.dispose()
            if outcome.error is not None:
                result.resolve(ErrorHook(outcome.error))
            else:
                result.resolve(PayloadHook(Payload(undefined, "owned")))

        def delivered(delivery: Deferred[Any]) -> None:
            is_end = method != "write"
            state.closed = state.closed or is_end
            if delivery.error is not None:
                if is_end:
                    self._abandon(delivery.error)
                done(delivery)
                proceed()
            else:
                self._perform(method, args, result.calls, done, proceed)

        def proceed() -> None:
            trampoline([lambda: self._next(state)])  # many may be waiting

        args.deliver(result.calls.take).add_callback(delivered)

    def _perform(
        self,
        method: str,
        args: Payload,
        calls: ServedCalls,
        done: Callable[[Deferred[Any]], None],
        proceed: Callable[[], None],
    ) -> None:
        """Do it: `done` when it has been taken, `proceed` when the next may begin."""
        raise NotImplementedError

    def _abandon(self, error: BaseException) -> None:
        """The stream has ended without having been closed."""
        raise NotImplementedError

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        return ErrorHook(RpcError("Cannot access properties on a WritableStream stub"))

    def pull(self) -> Pulled:
        return Deferred.failed(RpcError("Cannot pull a WritableStream stub"))

    def dispose(self) -> None:
        state, self._state = self._state, None
        if state is None:
            return
        state.hooks -= 1
        if state.hooks == 0 and not state.closed:
            state.closed = True
            self._abandon(RpcError("The writer has gone without closing the stream."))


class PipeHook(SinkHook):
    """The writing end of a pipe whose reading end is here."""

    __slots__ = ("_pipe",)

    def __init__(self, pipe: Pipe, calls: ServedCalls, state: SinkState | None = None) -> None:
        super().__init__(calls, state)
        self._pipe = pipe

    def dup(self) -> Hook:
        if self._state is not None:
            self._state.hooks += 1
        return PipeHook(self._pipe, self._calls, self._state)

    def _perform(
        self,
        method: str,
        args: Payload,
        calls: ServedCalls,
        done: Callable[[Deferred[Any]], None],
        proceed: Callable[[], None],
    ) -> None:
        value = first_of(args)
        if method == "write":
            # The stubs in a chunk are the reader's now.
            args.hooks = args.promises = ()
            self._pipe.write(value).add_callback(done)
        else:
            if method == "close":
                self._pipe.finish()
            else:
                error = as_error(value)
                self._pipe.fail(error, kept(error, calls.ledger))
            done(Deferred.of(None))
        proceed()

    def _abandon(self, error: BaseException) -> None:
        self._pipe.fail(error)


class Sink(Protocol):
    """What takes the chunks on this side: a `WritableStream` of the application's."""

    def write(self, chunk: Any) -> None:
        """Take a chunk; blocks for as long as it likes."""
        ...

    def close(self) -> None:
        """There are no more."""
        ...

    def abort(self, reason: Any) -> None:
        """The writer has failed with `reason`, or is gone."""
        ...


class ApplicationSinkHook(SinkHook):
    """A WritableStream of the application's."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Sink, calls: ServedCalls, state: SinkState | None = None) -> None:
        super().__init__(calls, state)
        self._stream = stream

    def dup(self) -> Hook:
        if self._state is not None:
            self._state.hooks += 1
        return ApplicationSinkHook(self._stream, self._calls, self._state)

    def _perform(
        self,
        method: str,
        args: Payload,
        calls: ServedCalls,
        done: Callable[[Deferred[Any]], None],
        proceed: Callable[[], None],
    ) -> None:
        def job() -> None:
            outcome: Deferred[Any]
            try:
                if method == "close":
                    self._stream.close()
                else:
                    getattr(self._stream, method)(first_of(args))
            except BaseException as error:
                outcome = Deferred.failed(error)
            else:
                outcome = Deferred.of(None)

            def answer() -> None:
                calls.change()
                done(outcome)
                proceed()
                if calls.ledger.overdrawn:
                    calls.end_overdrawn()

            calls.runtime.step.run(answer)

        calls.start(job)

    def _abandon(self, error: BaseException) -> None:
        self._calls.start(Callback(self._stream.abort, (error,)))


def first_of(args: Payload) -> Any:
    """The only argument that the methods of a stream have."""
    return args.value[0] if args.value else undefined


def as_error(reason: Any) -> BaseException:
    """The exception for what a stream was aborted with, which may be any value."""
    if isinstance(reason, BaseException):
        return reason
    if isinstance(reason, str):
        return RpcError(reason)
    what = "" if reason is undefined else f" with a {type(reason).__name__}"
    return RpcError(f"The writer has aborted the stream{what}.")
