"""Streams: chunks of any values, one after another, with a slow reader stopping a fast writer.

A `ReadableStream` is an iterator of chunks. One is sent by starting a pipe: the chunks follow
through it as calls of `write` while the message that carries the stream is already on its way. A
`WritableStream` has `write`, `close` and `abort`, and is sent as a capability with these methods.
Either way a write is acknowledged when the chunk has been taken, and the writer keeps no more
bytes under way than its window allows (`flow_control.py`). The reference: `streams.ts`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any

from ..core.hooks import Hook
from ..core.payload import Held, Payload
from ..deferred import Deferred
from ..errors import RpcError, SessionOfParent, fresh_copy, redacted
from ..runtimes.interface import Runtime
from ..values.javascript import undefined
from .flow_control import MAX_WINDOW, FlowController, Sent
from .pipe import END, Pipe
from .sources import chunks_of, is_file


class ReadableStream(Held):
    """An iterator of chunks: of any source here, to be sent, or received from a peer.

    `source` is an iterable of anything that can be sent, or a binary file. A received stream is
    read by iterating, once; `cancel()` (or leaving `with stream:`) stops the writer. One that
    arrived in the arguments of a call ends with it unless reading has begun.

    Several threads may read a received stream: each chunk goes to one of them, to the one that
    waits the longest.
    """

    def __init__(self, source: Iterable[Any]) -> None:
        """
        Args:
            source: an iterable of chunks, or a binary file, which is read in pieces and closed at
                the end.

        Raises:
            TypeError: it is text, bytes, a dict, or a file that is open as text.
        """
        self.pipe: Pipe | None = None
        """Where a received stream's chunks come from."""
        self._runtime: Runtime | None = None
        self.locked = False
        """Whether reading has begun."""
        self.sent = False
        """Whether it has been sent: that is once, or the chunks would be shared out."""
        self.holders = 0
        """How many payloads hold a received stream; reading frees it from them."""
        self._source: Iterator[Any] | None = chunks_of(source)

    @classmethod
    def of_pipe(cls, pipe: Pipe, runtime: Runtime) -> ReadableStream:
        """The reading end of a pipe."""
        stream = cls(())
        stream._source, stream.pipe, stream._runtime = None, pipe, runtime
        return stream

    def held(self) -> tuple[ReadableStream, Hook | None]:
        """The stream for one more payload, and what holds it there if it was received."""
        return self, None if self.pipe is None else ReadableHook(self)

    def __iter__(self) -> Iterator[Any]:
        self.locked = True
        return self

    def __next__(self) -> Any:
        chunk = self._read(None)
        if chunk is END:
            raise StopIteration
        return chunk

    def read(self, timeout: float | None = None) -> Any:
        """Wait for the next chunk.

        Args:
            timeout: seconds; None waits without end.

        Returns:
            The chunk, anything that can be sent.

        Raises:
            EOFError: the stream has ended.
            TimeoutError: no chunk came in time; the next call may get it.
            RpcError: what the writer aborted with, or `SessionClosed`.
        """
        chunk = self._read(timeout)
        if chunk is END:
            raise EOFError("The stream has ended.")
        return chunk

    def _read(self, timeout: float | None) -> Any:
        self.locked = True
        if self.pipe is None or self._runtime is None:
            return END if self._source is None else next(self._source, END)
        run, pipe = self._runtime.step.run, self.pipe
        chunk = run(pipe.read)
        try:
            in_time = chunk.settled or self._runtime.wait(chunk, timeout)
        except BaseException:  # Ctrl+C, gevent.Timeout: the next reader is not to miss a chunk
            run(pipe.unread, chunk)
            raise
        if not in_time:
            run(pipe.unread, chunk)
            if not chunk.settled:
                raise TimeoutError(f"No chunk came within {timeout} s.")
        if chunk.error is not None:
            raise fresh_copy(chunk.error)
        return chunk.value

    def cancel(self, reason: str = "The reader has cancelled the stream.") -> None:
        """Read no more. The writer is told with its next write.

        Args:
            reason: for the writer, a sentence.
        """
        self.locked = True
        if self.pipe is not None and self._runtime is not None:
            with suppress(SessionOfParent):
                self._runtime.step.run(self.pipe.fail, RpcError(reason, code="cancelled"))
        source, self._source = self._source, None
        close = getattr(source, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> ReadableStream:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def __del__(self, is_over: Callable[[], bool] = sys.is_finalizing) -> None:
        if is_over():  # the interpreter's end: what the rest needs is gone, the name `sys` too
            return
        pipe, runtime = self.pipe, self._runtime
        if pipe is not None and runtime is not None and not pipe.failed:
            error = RpcError("The reader has let go of the stream.", code="cancelled")
            runtime.collect(partial(runtime.step.run, pipe.fail, error))


def is_source(value: Any) -> bool:
    """Whether `value` is sent as a ReadableStream: one itself, an iterator, or an open file.
    Lists and other collections are values."""
    return isinstance(value, (ReadableStream, Iterator)) or is_file(value)


class WritableStream(Held):
    """Takes chunks: of a sink here, to be sent, or received from a peer.

    `sink` is any object with `write(chunk)`, and optionally `close()` and `abort(reason)`, such
    as a binary file. `write` blocks while the reader is too far behind.

    Several threads may write to a received stream: their chunks go in the order in which `write`
    was called, and all of them wait for the window. Closing it lets those finish that wait.
    """

    def __init__(self, sink: Any) -> None:
        """
        Args:
            sink: any object with `write(chunk)`, and optionally `close()` and `abort(reason)`, such
                as a binary file.
        """
        self._sink = sink
        self._hook: Hook | None = None
        self._flow: FlowController | None = None
        self._error: BaseException | None = None
        self._opened: Deferred[None] | None = None
        self._closed = False

    @classmethod
    def of_hook(cls, hook: Hook) -> WritableStream:
        """The writing end for a capability with `write`, `close` and `abort`; it stays the
        payload's, with which it ends."""
        stream = cls(None)
        stream._hook = hook
        stream._flow = FlowController(time.monotonic)
        return stream

    def held(self) -> tuple[WritableStream, Hook | None]:
        """The stream for one more payload, and what holds it there if it was received."""
        if self._hook is None:
            return self, None
        hook = self._hook.dup()
        return WritableStream.of_hook(hook), hook

    def write(self, chunk: Any, timeout: float | None = None) -> None:
        """Write a chunk. Blocks while the window is full, which is the reference's (`streams.ts`).

        Args:
            chunk: anything that can be sent.
            timeout: seconds; None waits without end.

        Raises:
            TimeoutError: the reader has not caught up; the chunk may be on its way.
            RpcError: what an earlier write failed with, or `SessionClosed`.
            TypeError: the chunk can't be sent.
        """
        if self._hook is None or self._flow is None:
            self._sink.write(chunk)
            return
        runtime = self._hook.runtime
        runtime.step.run(self._check)
        if not self._hook.wait_room(timeout):
            raise TimeoutError(f"What was sent before has not gone out within {timeout} s.")
        opened = runtime.step.run(self._send, self._hook, self._flow, chunk)
        if not opened.settled and not runtime.wait(opened, timeout):
            raise TimeoutError(f"The reader has not caught up within {timeout} s.")
        if opened.error is not None:
            raise fresh_copy(opened.error)

    def _send(self, hook: Hook, flow: FlowController, chunk: Any) -> Deferred[None]:
        """Send a chunk; when the next may come."""
        self._check()
        answer, size = hook.stream(("write",), Payload([chunk], "params"))
        # Without a size the stream is in this process: each write waits to be taken.
        sent = flow.on_send(MAX_WINDOW if size is None else size)
        answer.add_callback(lambda answer: self._answered(answer, sent))
        if self._error is not None:
            return Deferred.failed(self._error)
        if flow.open:
            return Deferred.of(None)
        self._opened = self._opened or Deferred()
        return self._opened

    def _answered(self, answer: Deferred[Any], sent: Sent) -> None:
        assert self._flow is not None
        if answer.error is None:
            self._flow.on_ack(sent)
        else:
            self._flow.on_error(sent)
            if self._error is None and self._hook is not None:
                # Nothing more can be written, so the peer's end can go.
                self._error = answer.error
                self._hook.dispose()
        if answer.error is not None:
            self._release_writers(answer.error)
        elif self._flow.open:
            self._release_writers(None)

    def _release_writers(self, error: BaseException | None) -> None:
        """Let all go on that wait for the window, with `error` if nothing more will be taken."""
        opened, self._opened = self._opened, None
        if opened is not None and error is not None:
            opened.reject(error)
        elif opened is not None:
            opened.resolve(None)

    def _check(self) -> None:
        if self._error is not None:
            raise fresh_copy(self._error)

    def close(self, timeout: float | None = None) -> None:
        """End the stream and wait until everything has been taken. Without effect the second time.

        Args:
            timeout: seconds; None waits without end.

        Raises:
            TimeoutError: the reader has not finished in time; the end is on its way.
            RpcError: what any write failed with, or `SessionClosed`.
        """
        if self._hook is None:
            close = getattr(self._sink, "close", None)
            if close is not None:
                close()
            return
        runtime = self._hook.runtime
        answer = runtime.step.run(self._send_close, self._hook)
        if not answer.settled and not runtime.wait(answer, timeout):
            raise TimeoutError(f"The reader has not finished within {timeout} s.")
        runtime.step.run(self._hook.dispose)
        if answer.error is not None:
            raise fresh_copy(answer.error)

    def _send_close(self, hook: Hook) -> Deferred[Any]:
        """Say that nothing follows, once; when everything has been taken."""
        if self._closed:
            return Deferred.of(None)
        self._check()
        answer, _ = hook.stream(("close",), Payload([], "params"))
        self._closed = True
        self._error = RpcError("The stream has been closed.")
        return answer

    def abort(self, reason: Any = undefined) -> None:
        """End the stream as failed. Never blocks.

        Args:
            reason: what the reader gets: an exception or any value.
        """
        if self._hook is None:
            abort = getattr(self._sink, "abort", None)
            if abort is not None:
                abort(reason)
            return
        with suppress(SessionOfParent):
            self._hook.runtime.step.run(self._send_abort, self._hook, reason)

    def _send_abort(self, hook: Hook, reason: Any) -> None:
        if self._error is not None:
            return
        self._error = RpcError("The stream has been aborted.")
        self._release_writers(self._error)
        try:
            answer, _ = hook.stream(("abort",), Payload([reason], "params"))
        except RpcError:
            return  # it was disposed of with the call that it came in, which told the peer
        answer.add_callback(lambda _: hook.dispose())

    def __enter__(self) -> WritableStream:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            self.close()
        else:
            self.abort(redacted(exc))


def pump(source: ReadableStream, writer: WritableStream) -> None:
    """Write everything from `source`; blocks, never raises. Runs beside the session's calls."""
    try:
        while True:
            try:
                chunk = source._read(None)
            except Exception as error:
                writer.abort(redacted(error))
                return
            if chunk is END:
                writer.close()
                return
            try:
                writer.write(chunk)
            except (TypeError, ValueError) as error:
                writer.abort(redacted(error))
                return
    except (RpcError, TimeoutError):
        return  # the reader is gone; it knows why
    finally:
        with suppress(Exception):
            source.cancel()


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
