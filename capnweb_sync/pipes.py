"""The receiving side of streams: what takes the chunks that a peer writes.

`Pipe` holds chunks until its reader here takes them. The hooks are what a peer's `write`, `close`
and `abort` reach: the writing end of a pipe, or a `WritableStream` of the application's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .calls import Notice, ServedCalls
from .deferred import Deferred, unnested
from .errors import RpcError
from .here import PayloadHook
from .hooks import ErrorHook, Hook, PromiseHook, Pulled, failed
from .payload import Payload
from .values import undefined

if TYPE_CHECKING:
    from .streams import ReadableStream, WritableStream
    from .stubs import Path

END: Final = object()
"""What a pipe's reader gets when there is nothing more."""


class Pipe:
    """Chunks between a writer at the peer and a reader here. Touched under the step."""

    __slots__ = ("__weakref__", "_chunks", "_error", "_finished", "_readers")

    def __init__(self) -> None:
        self._chunks: deque[tuple[Any, Deferred[None]]] = deque()
        self._readers: deque[Deferred[Any]] = deque()
        self._error: BaseException | None = None
        self._finished = False

    def write(self, chunk: Any) -> Deferred[None]:
        """Offer a chunk; settled when it has been read."""
        if self._error is not None:
            return Deferred.failed(self._error)
        if self._finished:
            return Deferred.failed(RpcError("The stream has been closed."))
        taken: Deferred[None] = Deferred()
        if self._readers:
            taken.resolve(None)
            self._readers.popleft().resolve(chunk)
        else:
            self._chunks.append((chunk, taken))
        return taken

    def finish(self) -> None:
        """There are no more chunks."""
        self._finished = True
        while self._readers:
            self._readers.popleft().resolve(END)

    def fail(self, error: BaseException) -> None:
        """The stream is broken, in whichever direction: nothing more is read or written."""
        if self._error is not None or (self._finished and not self._chunks):
            return
        self._error = error
        chunks, self._chunks = self._chunks, deque()
        for _, taken in chunks:
            taken.reject(error)
        while self._readers:
            self._readers.popleft().reject(error)

    def lose(self, error: BaseException) -> None:
        """The writer is gone. What it has finished can still be read."""
        if not self._finished:
            self.fail(error)

    def read(self) -> Deferred[Any]:
        """The next chunk, or END."""
        if self._error is not None:
            return Deferred.failed(self._error)
        if self._chunks:
            chunk, taken = self._chunks.popleft()
            taken.resolve(None)
            return Deferred.of(chunk)
        if self._finished:
            return Deferred.of(END)
        reader: Deferred[Any] = Deferred()
        self._readers.append(reader)
        return reader

    def unread(self, reader: Deferred[Any]) -> None:
        """Whoever waits with `reader` has given up. A chunk that came meanwhile is the next one
        again."""
        if reader in self._readers:
            self._readers.remove(reader)
        elif reader.error is None and reader.value is not END:
            self._put_back(reader.value)

    def _put_back(self, chunk: Any) -> None:
        """Make `chunk`, whose writer knows that it has been read, the next one."""
        if self._readers:
            self._readers.popleft().resolve(chunk)
        elif self._error is None:
            self._chunks.appendleft((chunk, Deferred.of(None)))


METHODS: Final = ("write", "close", "abort")


class SinkState:
    """What all duplicates of a sink's hook share."""

    __slots__ = ("busy", "closed", "hooks", "waiting")

    def __init__(self) -> None:
        self.hooks = 1
        self.closed = False
        self.busy = False
        self.waiting: deque[tuple[str, Payload, PromiseHook]] = deque()


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
        state.waiting.append((method, args, result))
        if not state.busy:
            self._next(state)
        return result

    def _next(self, state: SinkState) -> None:
        if not state.waiting:
            state.busy = False
            return
        state.busy = True
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
            unnested([lambda: self._next(state)])  # many may be waiting

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
                self._pipe.fail(as_error(value))
            done(Deferred.of(None))
        proceed()

    def _abandon(self, error: BaseException) -> None:
        self._pipe.fail(error)


class ApplicationSinkHook(SinkHook):
    """A WritableStream of the application's."""

    __slots__ = ("_stream",)

    def __init__(
        self, stream: WritableStream, calls: ServedCalls, state: SinkState | None = None
    ) -> None:
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

            calls.runtime.step.run(answer)

        calls.start(job)

    def _abandon(self, error: BaseException) -> None:
        self._calls.start(Notice(self._stream.abort, (error,)))


class ReadableHook(Hook):
    """Holds a received ReadableStream for a payload that it stands in: the stream ends with the
    last of them unless reading has begun."""

    __slots__ = ("_stream",)

    def __init__(self, stream: ReadableStream) -> None:
        self._stream: ReadableStream | None = stream
        stream.holders += 1

    def dispose(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        stream.holders -= 1
        if not stream.holders and not stream.locked and stream.pipe is not None:
            stream.pipe.fail(
                RpcError("The stream was disposed of without having been read.", code="cancelled")
            )


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


def collected(pipe: Pipe, calls: ServedCalls) -> Deferred[bytes]:
    """All bytes that come through `pipe`. Until they are together they count as bytes that wait
    for their reader, within the bound on these."""
    result: Deferred[bytes] = Deferred()
    parts: list[bytes] = []
    size = 0

    def take(chunk: Deferred[Any]) -> None:
        nonlocal size
        while not result.settled:
            if chunk.error is not None:
                result.reject(chunk.error)
                return
            if chunk.value is END:
                result.resolve(b"".join(parts))
                return
            try:
                if not isinstance(chunk.value, bytes):
                    raise RpcError("A blob is made of bytes.")
                calls.hold(len(chunk.value))
            except RpcError as error:
                pipe.fail(error.with_traceback(None))
                result.reject(error)
                return
            parts.append(chunk.value)
            size += len(chunk.value)
            chunk = pipe.read()
            if not chunk.settled:
                chunk.add_callback(take)
                return

    pipe.read().add_callback(take)
    result.add_callback(lambda _: calls.give_back(size))
    return result
