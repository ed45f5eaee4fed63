"""What a session sends: calls, answers, and the capabilities in both.

    push        a call of something at the peer; `stream` a write to a stream, `pipe` a stream's way
    pull        ask for the result of one
    resolve, reject   what the peer has asked for
    release     an import is given back

A message is encoded, its ids are taken and it is handed over in one step. The encoder asks for ids
of capabilities as it comes to them (`Exporter`); what turns out not to be sendable is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from ..codec.encoder import Encoder, NoExporter
from ..core.hooks import ErrorHook, Hook
from ..core.payload import Payload
from ..core.stubs import Path
from ..deferred import Deferred, trampoline
from ..errors import RpcError, fresh_copy, redacted
from ..limits import Limits
from ..observe.seen import Seen
from ..runtimes.interface import Runtime, Transport
from ..streams.sinks import ApplicationSinkHook
from ..streams.streams import ReadableStream, WritableStream, pump
from ..values import json_text
from .export_table import Export
from .import_hooks import ImportHook, ResultHook
from .unneeded import Unneeded

ANSWERED_AT_ONCE: Final = 64 * 1024
"""Bytes of answers that are encoded in one step; a millisecond or two."""

ANSWER_OVERHEAD: Final = 256
"""Bytes that count for each answer besides its own: the time that the shortest one takes."""

NO_ANSWER: Final = (
    "The client of a batch has said all in it, and gives no results. Call what it has passed, but"
    " do not wait for that; to wait, or to call later, it has to come by a connection: connect()."
)


class Outgoing(Unneeded):
    """See the top of this file."""

    __slots__ = ("_drained", "_piped", "_promised", "_pulls_under_way", "send_stack_traces")

    def __init__(
        self, transport: Transport, runtime: Runtime, limits: Limits, seen: Seen | None
    ) -> None:
        super().__init__(transport, runtime, limits, seen)
        self.send_stack_traces = False
        self._pulls_under_way = 0
        self._drained: Deferred[None] | None = None
        self._promised: list[Export] | None = None
        """Promises in the message that is being encoded."""
        self._piped: dict[int, tuple[ReadableStream, WritableStream]] | None = None
        """Streams in it, by the ids of their pipes."""

    def _send(self, message: list[Any]) -> None:
        self._send_encoded(json_text.dumps(message))

    def _send_encoded(self, message: bytes) -> None:
        if self.closed_by is not None:
            return
        self._send_packed(self.pack(message))
        # Promises in the message: the peer knows their ids from now on.
        if self._promised:
            promised, self._promised = self._promised, None
            trampoline([export.pull for export in promised])
        if self._piped:
            piped, self._piped = self._piped, None
            for source, writer in piped.values():
                source.locked = True
                self.runtime.spawn(partial(pump, source, writer))

    def _check_may_push(self) -> None:
        """Raises SessionClosed, and RpcError if too many results are awaited."""
        self._check_open()
        self.imports.check_room()

    def _check_open(self) -> None:
        if self.closed_by is not None:
            raise fresh_copy(self.closed_by)

    # Calls.

    def send_call(self, import_id: int, path: Path, args: Payload | None) -> Hook:
        """Push a call, or without arguments a look at a property; a hook for the result.

        Raises SessionClosed, and TypeError or ValueError for an argument that can't be sent.
        """
        expression: list[Any] = ["pipeline", import_id, path]
        try:
            self._check_may_push()
            if args is not None:
                expression.append(self._encoded(args))
            self.change()
            result = self._push_seen(path, reading=args is None)
            self._send(["push", expression])
        finally:
            # Not earlier: a release of what is in them must not overtake the message.
            if args is not None:
                args.dispose()
        return result

    def _push_seen(self, path: Path, *, reading: bool) -> ImportHook:
        """A hook for the result of what is pushed next, a call for those who observe calls."""
        seen = self.calls.seen
        seen_as = None if seen is None else seen.calling(path, reading)
        return ResultHook(self.imports.push(self, seen_as), path, reads=reading)

    def _encoded(self, args: Payload) -> Any:
        """The expression for the arguments of a call. What was exported for arguments that can't
        be sent is taken back, so that the session is as it was."""
        was_changing, next_export = self in self._changing, self.exports.next_id
        try:
            return Encoder(self, args).encode()[0]
        except Exception:
            self.exports.take_back(next_export)  # what the encoder could not note any more
            if not was_changing:
                self.changed()
            raise

    def send_stream(self, import_id: int, path: Path, args: Payload) -> tuple[Deferred[Any], int]:
        """Send a write to a stream; when it has been taken, and its size in bytes."""
        try:
            self._check_may_push()
            expression = ["pipeline", import_id, path, self._encoded(args)]
            message = json_text.dumps(["stream", expression])
            self.change()
            entry = self.imports.push(self)
            self._send_encoded(message)
        finally:
            args.dispose()
        entry.introduced = 0  # the peer releases it by itself
        entry.expect_resolution()
        hook = ImportHook(entry, is_promise=True)
        answer = hook.deliver()

        def answered(_: Deferred[Any]) -> None:
            self.imports.forget(entry.import_id)
            hook.dispose()

        answer.add_callback(answered)
        return answer, len(message)

    def send_map(self, import_id: int, path: Path, captures: list[Hook], steps: list[Any]) -> Hook:
        """Push a `map`; takes the captures over. Raises SessionClosed."""
        described: list[Any] = []
        news = False
        try:
            self._check_may_push()
            news = self.change()
            for capture in captures:
                captured = self.import_id(capture)
                if captured is None:
                    described.append(["export", self.export_stub(capture.dup())])
                else:
                    described.append(["import", captured])
            result = self._push_seen((*path, "map"), reading=False)
            self._send(["push", ["remap", import_id, path, described, steps]])
        except RpcError:  # too much is exported
            self.unexport(export_id for kind, export_id in described if kind == "export")
            if news:
                self.changed()
            raise
        finally:
            for capture in captures:
                capture.dispose()
        return result

    def send_pull(self, import_id: int) -> None:
        """Ask for the resolution of an import. Of a peer that can't answer, it is a failure."""
        self.change()
        if not getattr(self.transport, "can_answer", True):
            self.imports.entries[import_id].resolve(ErrorHook(RpcError(NO_ANSWER)))
            return
        self._send(["pull", import_id])

    def pull_all(self) -> None:
        """Ask for the result of every call whose promise is still there: for transports that
        have only one chance to ask."""
        self._step.run(self.imports.pull_all)

    def send_release(self, import_id: int, introduced: int) -> None:
        """Give an import back."""
        self.change()
        self.imports.forget(import_id)
        self._send(["release", import_id, introduced])

    # Answers.

    def send_resolve(self, export_id: int, expression: Any) -> None:
        """Send what an export stands for."""
        self.change()
        message = json_text.dumps(["resolve", export_id, expression])
        self.calls.answered += len(message) + ANSWER_OVERHEAD
        self._send_encoded(message)

    def has_answered_much(self) -> bool:
        """One result can be named many times, and the peer can have all of them wait for the same.

        Returns:
            Whether what was answered in this step is enough for one piece.
        """
        return self.calls.answered > ANSWERED_AT_ONCE

    def answer_later(self, answer: Callable[[], None]) -> None:
        """Have something sent later than now.

        Args:
            answer: called once, as a step, in a turn of its own.
        """

        def piece() -> Iterator[None]:
            self._step.run(answer)
            yield

        self.runtime.in_turns(piece())

    def send_reject(self, export_id: int, error: BaseException, what: str) -> None:
        """Send that an export has failed; what the peer may know of it. `what` was called."""
        self.change()
        self._send(["reject", export_id, self._encoded_error(error, what)])

    def _encoded_error(self, error: BaseException, what: str) -> Any:
        exporter = NoExporter(send_stack_traces=self.send_stack_traces)
        if not isinstance(error, RpcError):  # of one that is, it has been decided
            failed = f"A served call failed, {what} for {self.peer}"
            error = self.calls.decided(error) or redacted(error, failed)
        return Encoder(exporter, Payload(error, "params")).encode()

    def pull_begun(self) -> None:
        """The peer waits for one more resolution."""
        self._pulls_under_way += 1

    def pull_done(self) -> None:
        """One of the pulls under way is done."""
        self._pulls_under_way -= 1
        if not self._pulls_under_way and self._drained is not None:
            drained, self._drained = self._drained, None
            drained.resolve(None)

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until everything that the peer has pulled has been sent.

        Args:
            timeout: seconds; None waits without end.

        Returns:
            False if time ran out.
        """
        drained = self._step.run(self._when_drained)
        return drained.settled or self.runtime.wait(drained, timeout)

    def _when_drained(self) -> Deferred[None]:
        if not self._pulls_under_way:
            return Deferred.of(None)
        self._drained = self._drained or Deferred()
        return self._drained

    # What is in them: ids for capabilities (`Exporter`).

    def export_stub(self, hook: Hook) -> int:
        """Take `hook` over; its new id. Raises RpcError past the limit, or where nobody could call
        it, and SessionClosed."""
        return self._export(hook).export_id

    def export_promise(self, hook: Hook) -> int:
        """Take `hook` over as a promise; its new id. The resolution follows the message."""
        export = self._export(hook)
        self._promised = self._promised or []
        self._promised.append(export)
        return export.export_id

    def _export(self, hook: Hook) -> Export:
        try:
            self._check_open()
            self.exports.check_room()
        except BaseException:
            hook.dispose()
            raise
        self.change()
        return self.exports.add(self, hook)

    def import_id(self, hook: Hook) -> int | None:
        """The id of `hook` if it stands for something of this very peer."""
        if isinstance(hook, ImportHook) and hook.entry is not None:
            entry = hook.entry
            if entry.session is self and entry.resolution is None:
                return entry.import_id
        return None

    def export_sink(self, stream: WritableStream) -> int:
        """Export a stream that the peer may write to; its new id."""
        # A received one is held until its own end, whatever becomes of where it stands.
        stream, _ = stream.held()
        return self.export_stub(ApplicationSinkHook(stream, self.calls))

    def create_pipe(self, source: ReadableStream) -> int:
        """Send `source` through a new pipe, from when the message that is being encoded has been
        sent; the id of the pipe. Raises RpcError if the stream was sent already or the transport
        carries none."""
        self._check_may_push()
        if not getattr(self.transport, "carries_streams", True):
            raise RpcError(
                "A batch is sent at once; it can't carry a stream, nor a Blob. connect() makes a"
                " connection, which can."
            )
        if source.sent:
            raise RpcError("The stream has been sent already.")
        self.change()
        source.sent = True
        # Nothing else may be sent in between: a message is just being encoded.
        self._send_packed(self.pack(b'["pipe"]'))
        entry = self.imports.push(self)
        writer = WritableStream.of_hook(ImportHook(entry, is_promise=False))
        self._piped = self._piped or {}
        self._piped[entry.import_id] = (source, writer)
        return entry.import_id

    def unexport(self, ids: Iterable[int]) -> None:
        """Take back exports, and pipes, that were not sent."""
        for export_id in ids:
            if self._piped and export_id in self._piped:
                source, writer = self._piped.pop(export_id)
                source.sent = False
                writer.abort()
            else:
                self.exports.entries[export_id].release(1)

    def forget_export(self, export_id: int) -> None:
        """The peer has given its last reference back."""
        self.exports.forget(export_id)
