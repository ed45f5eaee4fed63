"""A session: the two tables, and the messages that change them.

Text goes in through `receive`, text comes out through a `Transport`. Each message is one step:
checking a table, encoding, taking an id and handing the frame over happen together. The rules are
those of the protocol page and of `RpcSessionImpl` in the reference's `rpc.ts`:

    push        evaluate an expression as the next entry of the receiver's export table
    stream      the same for a write to a stream: pulled and released by itself
    pipe        the next entry is the writing end of a new pipe
    pull        send the resolution of an entry when it is there
    resolve, reject   the resolution
    release     forget an entry, as often as it was introduced
    abort       the session is over

Ids that the importer chooses count up from 1, those of the exporter down from -1, 0 is the main
object; none is used twice. Every export gets a new id, also of an object that was exported before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Final
from weakref import WeakSet

from ..close_codes import CLOSED_BY_US, CloseCode
from ..codec.encoder import Encoder, NoExporter, check_sendable
from ..codec.map import MapAllowance, MapWork
from ..core.hooks import ErrorHook, Hook
from ..core.ledger import PIPE_COST, Kept, Ledger
from ..core.local_hooks import hook_for_value
from ..core.payload import Payload
from ..core.served_calls import OnSendError, SeenCalls, ServedCalls, too_much
from ..core.stubs import Path, RpcStub
from ..core.targets import BEGINNER
from ..deferred import Deferred, abandon_turn, trampoline
from ..errors import RpcError, RpcTypeError, SessionClosed, SessionOfParent, fresh_copy, redacted
from ..limits import DEFAULT_LIMITS, Limits
from ..observe.seen import Observers, peer_of, seen_by
from ..runtimes.interface import Runtime, Transport, default_runtime
from ..runtimes.steps import serving
from ..streams.pipe import Pipe
from ..streams.sinks import ApplicationSinkHook
from ..streams.streams import ReadableStream, WritableStream, pump
from ..values import json_text
from .export_table import Export, ExportTable
from .import_hooks import ImportHook, MainHook
from .import_table import Import, ImportTable
from .messages import parse, take

INTERRUPTED: Final = int(CloseCode.INTERNAL_ERROR)
"""The close code of a session that an exception has cut in the middle of a change."""

GATHERED_RELEASES: Final = 64
"""Releases of unneeded results that are sent together. More would let the peer's table grow;
fewer would cost a frame's share of a system call for each."""


ENDED_AT_ONCE: Final = 256
"""Entries of the tables that end in one piece; where there are more, each piece has its turn. An
entry takes some microseconds, unless it has much."""

ANSWERED_AT_ONCE: Final = 64 * 1024
"""Bytes of answers that are encoded in one step; a millisecond or two."""

ANSWER_OVERHEAD: Final = 256
"""Bytes that count for each answer besides its own: the time that the shortest one takes."""


class RpcSession:
    """One conversation with a peer.

    `main` is what the peer gets as main object: an `RpcTarget`, a function, any value that can be
    sent, or None. One whose class defines `_on_session(session)` gets the new session with it.
    `session.main` is the peer's. Nothing here blocks, and application code runs only as jobs of
    the runtime.
    """

    __slots__ = (
        "__weakref__",
        "_changing",
        "_drained",
        "_main",
        "_map_allowance",
        "_map_work",
        "_over",
        "_piped",
        "_pipes",
        "_promised",
        "_pulls_under_way",
        "_seen",
        "_send_packed",
        "_step",
        "_tidying",
        "_unneeded",
        "_unneeded_first",
        "calls",
        "can_concatenate",
        "closed_by",
        "exports",
        "imports",
        "ledger",
        "limits",
        "pack",
        "runtime",
        "send_stack_traces",
        "transport",
    )

    def __init__(
        self,
        transport: Transport,
        main: Any = None,
        *,
        runtime: Runtime | None = None,
        limits: Limits = DEFAULT_LIMITS,
        send_stack_traces: bool = False,
        observer: Observers = None,
        on_send_error: OnSendError | None = None,
    ) -> None:
        """
        Args:
            transport: carries the messages; the shell that made it ends it.
            main: what the peer gets as main object: an `RpcTarget`, a function, any value that can
                be sent, or None.
            runtime: how this process waits and runs calls; by default threads, or what a shell has
                set.
            limits: what is accepted from the peer.
            send_stack_traces: lets tracebacks travel with errors: for development only.
            observer: an `Observer` that is told what happens, or several.
            on_send_error: called with each exception that is about to be sent: what a call of the
                peer's has raised, and any that stands in a result or an argument. The exception
                that it returns is sent instead, with its class and message (`return error` shows
                the very one); with None, the peer learns what it does without this function. It
                must be short, and must not use sessions.

        Raises:
            TypeError: `main` can't be sent, or `observer` is none.
        """
        self.transport = transport
        # The transport's, at hand: each delivery of a broadcast uses them.
        self.pack = transport.pack
        self.can_concatenate = transport.can_concatenate
        self._send_packed = transport.send
        self.runtime = runtime or default_runtime()
        self._step = self.runtime.step
        self._changing = self._step.changing
        self.limits = limits
        self.send_stack_traces = send_stack_traces
        ledger = getattr(transport, "ledger", None)
        self.ledger: Ledger = ledger if ledger is not None else Ledger(limits.max_memory)
        """What is kept for the peer; also by the transport, if that has brought it."""
        self.ledger.limit(limits.max_memory)
        self._seen = seen = seen_by(observer, self.runtime, transport)
        queue = self.runtime.call_queue()
        if seen is None or not seen.sees_calls:
            self.calls = ServedCalls(self.runtime, queue, limits, self.ledger)
        else:
            self.calls = SeenCalls(self.runtime, queue, limits, self.ledger)
            self.calls.seen = seen
        self.calls.session = self
        self.calls.on_send_error = on_send_error
        if seen is not None:
            self.pack = seen.packing(transport.pack)
        self._pulls_under_way = 0
        self._drained: Deferred[None] | None = None
        self.closed_by: BaseException | None = None
        """Why the session is over; None while it is not."""
        self._promised: list[Export] | None = None
        """Promises in the message that is being encoded."""
        self._piped: dict[int, tuple[ReadableStream, WritableStream]] | None = None
        """Streams in it, by the ids of their pipes."""
        self._over: Deferred[None] | None = None
        self._map_allowance: MapAllowance | None = None
        self._map_work: MapWork | None = None
        self._pipes: WeakSet[Pipe] | None = None
        """Those that the peer writes to. One may outlive its entry: in a chunk of its own."""
        self._tidying = False
        self._unneeded = 0
        self._unneeded_first = 0
        hook: Hook
        if main is None:
            hook = ErrorHook(RpcError("This connection has no main object."))
        else:
            check_sendable(main)
            hook = served = hook_for_value(main)
            served.serve_on(self.calls)
        self.exports = ExportTable(self, hook)
        self.imports = ImportTable(self)
        peer = MainHook(self.imports.entries[0], is_promise=False)
        self._main: RpcStub | None = RpcStub._of(peer)
        if seen is not None:
            self._step.run(seen.opened)
        if hasattr(type(main), BEGINNER):
            try:
                getattr(main, BEGINNER)(self)
            except BaseException:
                self.connection_lost(None, "Its main object has failed to begin.")
                raise

    @property
    def calls_made(self) -> int:
        """Calls that this side has sent so far, broadcasts included."""
        return self.imports.next_id - 1

    @property
    def calls_served(self) -> int:
        """Calls that the peer has sent so far."""
        return self.exports.pushed

    @property
    def main(self) -> RpcStub:
        """A stub for the peer's main object. Disposing of it ends the session."""
        if self._main is None:
            raise fresh_copy(self.closed_by or SessionClosed("The session is over."))
        return self._main

    @property
    def closed(self) -> bool:
        """Whether the session is over, or in a forked child, which has none."""
        try:
            return self.closed_by is not None or self.runtime.step is None
        except SessionOfParent:
            return True

    @property
    def peer(self) -> str:
        """Who is at the other end, for people: the URL of a server, the address of a client."""
        return peer_of(self.transport)

    def __repr__(self) -> str:
        if self.closed:
            state = f"over: {self.closed_by or SessionOfParent()}"
        else:
            state = "{imports} imports, {exports} exports".format(**self.stats())
        return f"<RpcSession with {self.peer}, {state}>"

    @property
    def peer_address(self) -> Any:
        """Host and port of the peer, or of the client behind proxies that the application
        believes; None where the transport knows of none, as on the client's side."""
        return getattr(self.transport, "remote_address", None)

    def on_disconnect(self, callback: Callable[[BaseException], Any]) -> Callable[[], None]:
        """Run `callback(error)` when the session is over, whoever ended it and however; `error` is
        a `SessionClosed`.

        Args:
            callback: called once; it runs like a served call.

        Returns:
            A function that takes this back.

        Raises:
            SessionClosed: it is over already.
        """
        return self.main.on_broken(callback)

    def owns(self, value: object) -> bool:
        """Whether `value` is a live stub for something that the peer of this very session passed
        by reference.

        A served call that will call a callback later asks this of it first. A peer can also pass
        a reference to what this side exports, a promise that never settles, or a result of its
        own with a stub in it: calling one of these runs code here, or waits here.

        Args:
            value: anything that came in the arguments of a call, or in a result.

        Returns:
            True for a stub whose calls go to this session's peer at once. False for anything
            else: a promise, a property's included; a stub that was disposed of; one of another
            session; any once the session is over.
        """
        if not isinstance(value, RpcStub) or value._path is not None:
            return False
        hook = value._hook
        entry = hook.entry if isinstance(hook, ImportHook) else None
        return (
            entry is not None
            and entry.session is self
            and entry.resolution is None
            and not entry.is_promise
        )

    def stats(self) -> dict[str, int]:
        """How large the two tables are.

        Returns:
            `{"imports": n, "exports": n}`; the two main objects count, as in the reference's
            `getStats()`.
        """
        return {"imports": len(self.imports.entries), "exports": len(self.exports.entries)}

    # What the shell calls.

    def receive(self, message: str | bytes) -> None:
        """Take one message from the peer. Whatever is in it, nothing comes out here, and no code of
        the application runs. A message against the protocol ends the session, as it does in the
        reference (`rpc.ts`).

        Args:
            message: one RPC message, JSON.
        """
        self._step.run(self._receive, (message,))

    def receive_all(self, messages: Iterable[str | bytes]) -> None:
        """Take what has arrived together, in one step; otherwise like `receive`.

        Args:
            messages: asked for the next one when the one before has been taken; it must not
                raise, and not call back.
        """
        self._step.run(self._receive, messages)

    def _receive(self, messages: Iterable[str | bytes]) -> None:
        if self.closed_by is not None:
            return
        self._changing.add(self)
        calls, most = self.calls, self.limits.max_message_size
        if self._seen is not None:
            messages = self._seen.arriving(messages)
        before, serving.calls = serving.calls, calls
        try:
            for message in messages:
                size = len(message)
                if size > most:
                    raise RpcTypeError(f"Incoming message exceeds maximum size of {most} bytes.")
                calls.received_size = size
                self._map_work = None
                calls.renew_copies()
                take(self, parse(message))
                if self.ledger.overdrawn:
                    self.overdrawn()
                if calls.session is None:  # this one has brought the end
                    return
        except RpcError as error:
            # What ends with the session may keep it as a context; its frames hold the session.
            self._abort(error.with_traceback(None))
        except RecursionError:
            self._abort(
                RpcTypeError(
                    "Deserialization exceeded maximum allowed message depth of"
                    f" {self.limits.max_depth}."
                )
            )
        except Exception as error:
            abandon_turn()
            self._abort(redacted(error))
        finally:
            serving.calls = before

    def connection_lost(self, close_code: int | None, reason: str) -> None:
        """The transport is gone: the peer has closed it, or it broke. Never blocks. Idempotent.

        Args:
            close_code: the WebSocket close code, None where there is none.
            reason: what is known, a sentence.
        """
        detail = f"{close_code} {reason}" if close_code is not None else reason
        error = SessionClosed(
            f"The connection is closed: {detail.strip() or 'no reason given'}",
            close_code=close_code,
            reason=reason,
        )
        with suppress(SessionOfParent):
            self._step.run(self._lose, error)

    def _lose(self, error: SessionClosed) -> None:
        self.change()
        self._end(error)

    def close(self, code: int = CLOSED_BY_US, reason: str = "RPC session was shut down") -> None:
        """End the session on this side: what waits for an answer gets `SessionClosed`. Idempotent.

        Args:
            code: the WebSocket close code for the peer; 3000 is the reference's.
            reason: a sentence for the peer.
        """
        with suppress(SessionOfParent):
            self._step.run(self._close, code, reason)

    def _close(self, code: int, reason: str) -> None:
        if self.closed_by is None:
            self.change()
            self._end(SessionClosed(closed_here(reason), close_code=code, reason=reason))
            self.transport.close(code, reason)

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

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the session is over, whoever ends it.

        Args:
            timeout: seconds; None waits without end.

        Returns:
            False if time ran out.
        """
        try:
            over = self.when_closed()
            return over.settled or self.runtime.wait(over, timeout)
        except SessionOfParent:
            return True

    def when_closed(self) -> Deferred[None]:
        """For callbacks, which run under the step.

        Returns:
            What is settled when the session is over.
        """
        return self._step.run(self._when_closed)

    def _when_closed(self) -> Deferred[None]:
        if self.closed_by is not None:
            return Deferred.of(None)
        self._over = self._over or Deferred()
        return self._over

    def tell_observers(self) -> None:
        """Wait, not long, until observers have been told what has happened so far. For shells,
        after they have closed the session."""
        if self._seen is not None:
            self._seen.flush()

    def pull_all(self) -> None:
        """Ask for the result of every call whose promise is still there: for transports that
        have only one chance to ask."""
        self._step.run(self.imports.pull_all)

    def pull_begun(self) -> None:
        """The peer waits for one more resolution."""
        self._pulls_under_way += 1

    def pull_done(self) -> None:
        """One of the pulls under way is done."""
        self._pulls_under_way -= 1
        if not self._pulls_under_way and self._drained is not None:
            drained, self._drained = self._drained, None
            drained.resolve(None)

    # Changes that are made whole (see `steps.py`).

    def change(self) -> bool:
        """What follows in this step changes the session. Whether that is news.

        A step that another runtime makes is not looked after: this one would never clear the name.
        """
        changing = self._changing
        if self in changing or not self._step.is_mine():
            return False
        changing.add(self)
        return True

    def changed(self) -> None:
        """The change that was news is complete: an exception that the step raises, such as for an
        argument that can't be sent, is no reason to end the session."""
        self._changing.discard(self)

    def interrupted(self) -> None:
        """An exception has cut a change, which may be the end of the session."""
        reason = "An exception has interrupted the session in the middle of a change."
        self._end(SessionClosed(reason, close_code=INTERRUPTED, reason=reason))
        self.transport.close(INTERRUPTED, reason)

    # Messages that go out.

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
        return ImportHook(self.imports.push(self, seen_as), is_promise=True)

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

    def map_work(self) -> MapWork:
        """The bound on the work of a map; the same for all maps of one message."""
        if self._map_work is None:
            if self._map_allowance is None:
                self._map_allowance = MapAllowance(self.limits)
            self._map_work = MapWork(self.calls, self.limits, self._map_allowance)
        return self._map_work

    def export_sink(self, stream: WritableStream) -> int:
        """Export a stream that the peer may write to; its new id."""
        # A received one is held until its own end, whatever becomes of where it stands.
        stream, _ = stream.held()
        return self.export_stub(ApplicationSinkHook(stream, self.calls))

    def new_pipe(self) -> Pipe:
        """A pipe that the peer writes to; it ends with the session."""
        if self._pipes is None:
            self._pipes = WeakSet()
        pipe = Pipe(Kept(self.ledger, PIPE_COST))
        self._pipes.add(pipe)
        return pipe

    def pipe_readable(self, export_id: int) -> ReadableStream:
        """The reading end of a pipe that the peer has opened, once. Raises RpcError the second
        time."""
        return self.exports.pipe_readable(export_id)

    def send_pull(self, import_id: int) -> None:
        """Ask for the resolution of an import."""
        self.change()
        self._send(["pull", import_id])

    def send_release(self, import_id: int, introduced: int) -> None:
        """Give an import back."""
        self.change()
        self.imports.forget(import_id)
        self._send(["release", import_id, introduced])

    def push_unneeded(self, packed: bytes, count: int) -> None:
        """Send `count` pushes, packed and joined, whose results nobody asks for; their releases
        follow, gathered with others. Under the step, on an open session."""
        self._step.telling = self
        imports = self.imports
        first = imports.next_id
        imports.next_id = first + count
        waiting = self._unneeded
        if waiting and self._unneeded_first + waiting != first:
            self._release_unneeded()
            waiting = 0
        if not waiting:
            self._unneeded_first = first
            if not self._tidying:
                self._tidying = True
                self.runtime.tidy_later(self._tidy)
        self._unneeded = waiting + count
        self._send_packed(packed)
        if waiting + count >= GATHERED_RELEASES:
            self._release_unneeded()
        self._step.telling = None

    def _tidy(self) -> None:
        self._tidying = False
        self.release_unneeded()

    def release_unneeded(self) -> None:
        """Send the gathered releases now."""
        self._step.run(self._release_unneeded)

    def _release_unneeded(self) -> None:
        self.change()
        count, self._unneeded = self._unneeded, 0
        if count and self.closed_by is None:
            seen = self._seen
            if self.can_concatenate and (seen is None or not seen.sees_messages_out):
                self._send_packed(releases(self.pack, self._unneeded_first, count))
            else:
                for import_id in range(self._unneeded_first, self._unneeded_first + count):
                    self._send_packed(self.pack(release_message(import_id)))

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

    def send_reject(self, export_id: int, error: BaseException) -> None:
        """Send that an export has failed; what the peer may know of it."""
        self.change()
        self._send(["reject", export_id, self._encoded_error(error)])

    def _encoded_error(self, error: BaseException) -> Any:
        exporter = NoExporter(send_stack_traces=self.send_stack_traces)
        if not isinstance(error, RpcError):  # of one that is, it has been decided
            error = self.calls.decided(error) or redacted(error)
        return Encoder(exporter, Payload(error, "params")).encode()

    # What the encoder and the evaluator need of the tables.

    def export_stub(self, hook: Hook) -> int:
        """Take `hook` over; its new id. Raises RpcError past the limit, or where nobody could call
        it, and SessionClosed."""
        if not getattr(self.transport, "can_be_called", True):
            hook.dispose()
            raise RpcError(
                "A batch can't carry a function, a stub of another session or an object by"
                " reference: nobody could call it. connect() makes a connection, which can."
            )
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

    def import_stub(self, import_id: int) -> Hook:
        """A hook for something that the peer has passed by reference."""
        return ImportHook(self.imports.introduce(self, import_id), is_promise=False)

    def import_promise(self, import_id: int) -> Hook:
        """A hook for a promise of the peer's."""
        return ImportHook(self.imports.promise(self, import_id), is_promise=True)

    def export_hook(self, export_id: int) -> Hook | None:
        """What this side exports under the id; it stays the table's."""
        export = self.exports.entries.get(export_id)
        return None if export is None else export.hook

    # The end.

    def _abort(self, error: RpcError) -> None:
        """The peer broke the protocol: tell it, and end."""
        self._send(["abort", self._encoded_error(error)])
        sentence = str(error)
        self._end(SessionClosed(f"The session was aborted: {sentence}", reason=sentence))
        self.transport.close(CLOSED_BY_US, sentence)

    def overdrawn(self) -> None:
        """The peer makes this side keep more than it may."""
        if self.closed_by is None:
            self._abort(RpcError(too_much(self.limits.max_memory), code="too_many"))

    def peer_aborted(self, error: BaseException) -> None:
        """The peer has ended the session because of `error`."""
        self._end(SessionClosed(f"The peer ended the session: {error}", reason=str(error)))
        self.transport.close(CLOSED_BY_US, str(error))

    def _end(self, error: SessionClosed) -> None:
        # All of it can be done again: for the rest, when an exception has cut it.
        if self.closed_by is None:
            self.closed_by = error
            if self._seen is not None:
                self._seen.closed(error, self.calls_made, self.calls_served)
        rest = self._ending(self.closed_by)
        if not self._end_some(rest):
            self.runtime.in_turns(self._end_later(rest), frees=True)
        self._main = None
        self.calls.session = None
        # The application's, and as a rule a method of what knows the session: without the way back
        # both go at once, however seldom Python looks for what goes round in circles.
        self.calls.before_call = None
        self.ledger.on_shed = None
        if self._over is not None:
            self._over.resolve(None)

    def _ending(self, error: BaseException) -> Iterator[None]:
        """End what the session has, one thing at each `next`."""
        yield from self.imports.failing(error)
        for pipe in list(self._pipes or ()):
            pipe.lose(error)
            yield
        yield from self.exports.ending()
        self.ledger.close()  # not earlier: until then it is kept

    def _end_later(self, rest: Iterator[None]) -> Iterator[None]:
        while not self._step.run(self._end_some, rest):
            yield

    def _end_some(self, rest: Iterator[None]) -> bool:
        """End ENDED_AT_ONCE of what is left; whether that was all."""
        self.change()
        return sum(1 for _ in islice(rest, ENDED_AT_ONCE)) < ENDED_AT_ONCE

    # Hooks that were dropped without having been disposed of.

    def hook_dropped(self, entry: Import) -> None:
        """Python collects a hook of `entry`, in any thread, perhaps in the middle of a step: note
        it, and release it where a step may be taken."""
        if self.closed_by is None:
            self.runtime.collect(partial(self._forget_dropped, entry))

    def _forget_dropped(self, entry: Import) -> None:
        self._step.run(entry.let_go)


@lru_cache(maxsize=256)  # those of sessions that hear the same broadcasts are the same
def releases(pack: Callable[[bytes], bytes], first: int, count: int) -> bytes:
    """The messages that release `count` imports from `first` on, packed and joined."""
    ids = range(first, first + count)
    return b"".join(pack(release_message(import_id)) for import_id in ids)


def closed_here(reason: str) -> str:
    """What those learn who use a session that this side has closed."""
    why = f" ({reason.rstrip('.')})" if reason else ""
    return f"This side has closed the session{why}. Calls need a new one."


def release_message(import_id: int) -> bytes:
    """The message that releases an import."""
    return b'["release",%d,1]' % import_id
