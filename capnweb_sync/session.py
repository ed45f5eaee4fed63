"""A session: the two tables, and the messages that change them.

Text goes in through `receive`, text comes out through a `Transport`. Each message is one step:
checking a table, encoding, taking an id and handing the frame over happen together. The rules are
those of the protocol page and of `RpcSessionImpl` in the reference's `rpc.ts`:

    push        evaluate an expression as the next entry of the receiver's export table
    pull        send the resolution of an entry when it is there
    resolve, reject   the resolution
    release     forget an entry, as often as it was introduced
    abort       the session is over

Ids that the importer chooses count up from 1, those of the exporter down from -1, 0 is the main
object; none is used twice. Every export gets a new id, also of an object that was exported before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from . import wire
from .calls import ServedCalls
from .decoder import Decoder, is_id
from .deferred import Deferred
from .encoder import Encoder
from .errors import RpcError, RpcTypeError, SessionClosed, redacted
from .hooks import ErrorHook, Hook, hook_for_value
from .imports import Import, ImportHook, MainHook
from .limits import DEFAULT_LIMITS, Limits
from .payload import Payload
from .runtime import Runtime, Transport, default_runtime
from .stubs import Path, RpcStub

CLOSED_BY_US: Final = 3000
"""The WebSocket close code that the reference uses whenever it ends a session."""

GATHERED_RELEASES: Final = 64
"""Releases of unneeded results that are sent together. More would let the peer's table grow;
fewer would cost a frame's share of a system call for each."""


class Export:
    """One entry of the export table."""

    __slots__ = ("auto_release", "hook", "introduced", "pulled")

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.introduced = 1
        self.pulled = False
        self.auto_release = False


class RpcSession:
    """One conversation with a peer.

    `main` is what the peer gets as main object: an `RpcTarget`, a function, any value that can be
    sent, or None. `session.main` is the peer's. Nothing here blocks, and application code runs
    only as jobs of the runtime.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_dropped",
        "_exports",
        "_imports",
        "_main",
        "_next_export",
        "_next_import",
        "_next_push",
        "_unneeded",
        "_unneeded_first",
        "calls",
        "limits",
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
    ) -> None:
        """`send_stack_traces` lets tracebacks travel with errors: for development only."""
        self.transport = transport
        self.runtime = runtime or default_runtime()
        self.limits = limits
        self.send_stack_traces = send_stack_traces
        self.calls = ServedCalls(self.runtime, self.runtime.call_queue(), limits.max_calls)
        self._closed: BaseException | None = None
        self._dropped: deque[Import] | None = None
        self._next_import = 1
        self._next_export = -1
        self._next_push = 1
        self._unneeded = 0
        self._unneeded_first = 0
        hook: Hook
        if main is None:
            hook = ErrorHook(RpcError("This connection has no main object."))
        else:
            hook = hook_for_value(main)
        self._exports: dict[int, Export] = {0: Export(hook)}
        entry = Import(self, 0)
        self._imports: dict[int, Import] = {0: entry}
        self._main: RpcStub | None = RpcStub._of(MainHook(entry, is_promise=False))

    @property
    def main(self) -> RpcStub:
        """A stub for the peer's main object. Disposing of it ends the session."""
        if self._main is None:
            raise self._closed or SessionClosed("The session is over.")
        return self._main

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._closed is not None

    def stats(self) -> dict[str, int]:
        """How many entries the tables have: `{"imports": n, "exports": n}`; the two main objects
        count, as in the reference's `getStats()`."""
        return {"imports": len(self._imports), "exports": len(self._exports)}

    # What the shell calls.

    def receive(self, message: str | bytes) -> None:
        """Take one message from the peer. Never raises for what is in it, and runs no code of the
        application. A message against the protocol ends the session."""
        with self.runtime.step:
            if self._closed is not None:
                return
            try:
                if len(message) > self.limits.max_message_size:
                    raise RpcTypeError(
                        "Incoming message exceeds maximum size of"
                        f" {self.limits.max_message_size} bytes."
                    )
                self._dispatch(parse(message))
            except RpcError as error:
                self._abort(error)
            except RecursionError:
                self._abort(
                    RpcTypeError(
                        "Deserialization exceeded maximum allowed message depth of"
                        f" {self.limits.max_depth}."
                    )
                )
            except Exception as error:
                self._abort(redacted(error))

    def connection_lost(self, close_code: int | None, reason: str) -> None:
        """The transport is gone: the peer has closed it, or it broke. Idempotent."""
        detail = f"{close_code} {reason}" if close_code is not None else reason
        error = SessionClosed(
            f"The connection is closed: {detail.strip() or 'no reason given'}",
            close_code=close_code,
            reason=reason,
        )
        with self.runtime.step:
            self._end(error)

    def close(self, code: int = CLOSED_BY_US, reason: str = "RPC session was shut down") -> None:
        """End the session on this side. Idempotent."""
        with self.runtime.step:
            if self._closed is None:
                self._end(SessionClosed(reason, close_code=code, reason=reason))
                self.transport.close(code, reason)

    # Messages that come in.

    def _dispatch(self, message: Any) -> None:
        if type(message) is list and message and type(message[0]) is str:
            handler = HANDLERS.get(message[0])
            if handler is not None and handler(self, message):
                return
        raise RpcError(f"bad RPC message: {wire.dumps(message)[:200].decode(errors='ignore')}")

    def _on_push(self, message: list[Any]) -> bool:
        if len(message) < 2:
            return False
        self._add_export(Decoder(self).evaluate_hook(message[1]))
        return True

    def _add_export(self, hook: Hook) -> int:
        if len(self._exports) >= self.limits.max_table_entries:
            hook.dispose()
            raise RpcError(
                f"More than {self.limits.max_table_entries} results are waiting to be released."
            )
        export_id = self._next_push
        self._next_push = export_id + 1
        self._exports[export_id] = Export(hook)
        return export_id

    def _on_pull(self, message: list[Any]) -> bool:
        if len(message) < 2 or not is_id(message[1]):
            return False
        export = self._exports.get(message[1])
        if export is None:
            raise RpcError(f"no such export ID: {message[1]}")
        self._send_resolution(message[1], export)
        return True

    def _on_resolve(self, message: list[Any]) -> bool:
        if len(message) < 3 or not is_id(message[1]):
            return False
        entry = self._imports.get(message[1])
        hook = Decoder(self).evaluate_hook(message[2])
        if entry is None:
            hook.dispose()
        else:
            entry.resolve(hook)
        return True

    def _on_reject(self, message: list[Any]) -> bool:
        if len(message) < 3 or not is_id(message[1]):
            return False
        error = self._remote_failure(message[2])
        entry = self._imports.get(message[1])
        if entry is not None:
            entry.resolve(ErrorHook(error))
        return True

    def _on_release(self, message: list[Any]) -> bool:
        if len(message) < 3 or not is_id(message[1]) or not is_id(message[2]) or message[2] < 1:
            return False
        self._release_export(message[1], message[2])
        return True

    def _on_abort(self, message: list[Any]) -> bool:
        if len(message) < 2:
            return False
        error = self._remote_failure(message[1])
        self._end(SessionClosed(f"The peer ended the session: {error}", reason=str(error)))
        self.transport.close(CLOSED_BY_US, str(error))
        return True

    def _remote_failure(self, expression: Any) -> BaseException:
        """The exception in a reject or abort; JavaScript can throw any value."""
        payload = Decoder(self).evaluate(expression)
        payload.dispose()
        if isinstance(payload.value, BaseException):
            return payload.value
        return RpcError(f"The peer threw a value that is no error: {payload.value!r}")

    # Messages that go out.

    def _send(self, message: list[Any]) -> None:
        if self._closed is None:
            self.transport.send(self.transport.pack(wire.dumps(message)))

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._closed

    def send_call(self, import_id: int, path: Path, args: Payload | None) -> Hook:
        """Push a call, or without arguments a look at a property; a hook for the result.

        Raises SessionClosed, and TypeError or ValueError for an argument that can't be sent.
        """
        expression: list[Any] = ["pipeline", import_id, path]
        if args is not None:
            try:
                self._check_open()
                expression.append(Encoder(self, args).encode()[0])
            finally:
                args.dispose()
        else:
            self._check_open()
        self._send(["push", expression])
        return ImportHook(self._new_import(), is_promise=True)

    def _new_import(self) -> Import:
        entry = Import(self, self._next_import)
        self._imports[self._next_import] = entry
        self._next_import += 1
        return entry

    def send_pull(self, import_id: int) -> None:
        """Ask for the resolution of an import."""
        self._send(["pull", import_id])

    def send_release(self, import_id: int, introduced: int) -> None:
        """Give an import back."""
        self._imports.pop(import_id, None)
        self._send(["release", import_id, introduced])

    def push_unneeded(self, packed: bytes) -> None:
        """Send a packed push whose result nobody asks for; its release follows, gathered with
        others. Under the step, on an open session."""
        import_id = self._next_import
        self._next_import = import_id + 1
        count = self._unneeded
        if count == 0:
            self._unneeded_first = import_id
            self.runtime.tidy_later(self.release_unneeded)
        elif self._unneeded_first + count != import_id:
            self.release_unneeded()
            self._unneeded_first = import_id
            count = 0
        self._unneeded = count + 1
        self.transport.send(packed)
        if count + 1 >= GATHERED_RELEASES:
            self.release_unneeded()

    def release_unneeded(self) -> None:
        """Send the gathered releases now."""
        count, self._unneeded = self._unneeded, 0
        if count and self._closed is None:
            send, pack, first = self.transport.send, self.transport.pack, self._unneeded_first
            for import_id in range(first, first + count):
                send(pack(b'["release",%d,1]' % import_id))

    def _send_resolution(self, export_id: int, export: Export) -> None:
        """Send the resolution of an export once it is there; a second pull changes nothing."""
        if export.pulled:
            return
        export.pulled = True
        self._follow_resolution(export_id, export, export.hook)

    def _follow_resolution(self, export_id: int, export: Export, hook: Hook) -> None:
        pulled = hook.pull()
        if isinstance(pulled, Payload):
            self._resolved(export_id, export, hook, pulled)
            return

        def arrived(deferred: Deferred[Payload]) -> None:
            if deferred.error is not None:
                self._send_rejection(export_id, export, deferred.error)
            else:
                self._resolved(export_id, export, hook, deferred.value)  # type: ignore[arg-type]

        pulled.add_callback(arrived)

    def _resolved(self, export_id: int, export: Export, hook: Hook, payload: Payload) -> None:
        value = payload.value
        if isinstance(value, RpcStub) and value._path is not None and self.import_id(hook) is None:
            # The value is a promise again: the peer wants what that one stands for.
            inner = value._hook if not value._path else value._hook.get(value._path)
            self._follow_resolution(export_id, export, inner)
            return
        if self._exports.get(export_id) is not export or self._closed is not None:
            return
        try:
            expression = Encoder(self, payload).encode()
        except Exception as error:
            self._send_rejection(export_id, export, error)
            return
        self._send(["resolve", export_id, expression])
        if export.auto_release:
            self._release_export(export_id, 1)

    def _send_rejection(self, export_id: int, export: Export, error: BaseException) -> None:
        if self._exports.get(export_id) is not export or self._closed is not None:
            return
        self._send(["reject", export_id, self._encoded_error(error)])
        if export.auto_release:
            self._release_export(export_id, 1)

    def _encoded_error(self, error: BaseException) -> Any:
        return Encoder(self, Payload(redacted(error), "params")).encode()

    # The tables, for the encoder and the decoder.

    def export_stub(self, hook: Hook) -> int:
        """See `Exporter`."""
        try:
            self._check_open()
            if len(self._exports) >= self.limits.max_table_entries:
                raise RpcError(
                    f"More than {self.limits.max_table_entries} things are exported to the peer."
                )
        except BaseException:
            hook.dispose()
            raise
        export_id = self._next_export
        self._next_export = export_id - 1
        self._exports[export_id] = Export(hook)
        return export_id

    def export_promise(self, hook: Hook) -> int:
        """See `Exporter`."""
        export_id = self.export_stub(hook)
        self._send_resolution(export_id, self._exports[export_id])
        return export_id

    def import_id(self, hook: Hook) -> int | None:
        """See `Exporter`."""
        if isinstance(hook, ImportHook) and hook.entry is not None:
            entry = hook.entry
            if entry.session is self and entry.resolution is None:
                return entry.import_id
        return None

    def unexport(self, ids: Iterable[int]) -> None:
        """See `Exporter`."""
        for export_id in ids:
            self._release_export(export_id, 1)

    def _release_export(self, export_id: int, introduced: int) -> None:
        export = self._exports.get(export_id)
        if export is None:
            raise RpcError(f"no such export ID: {export_id}")
        if export.introduced < introduced:
            raise RpcError(f"refcount would go negative: {export.introduced} < {introduced}")
        export.introduced -= introduced
        if export.introduced == 0:
            del self._exports[export_id]
            export.hook.dispose()

    def import_stub(self, import_id: int) -> Hook:
        """See `Importer`."""
        entry = self._imports.get(import_id)
        if entry is None:
            entry = self._import_entry(import_id)
        else:
            entry.introduced += 1
        return ImportHook(entry, is_promise=False)

    def import_promise(self, import_id: int) -> Hook:
        """See `Importer`."""
        if import_id in self._imports:
            raise RpcError(f"The peer sent a promise under an ID that is in use: {import_id}")
        entry = self._import_entry(import_id)
        entry.expect_resolution()
        return ImportHook(entry, is_promise=True)

    def _import_entry(self, import_id: int) -> Import:
        if import_id >= 0:
            raise RpcError(f"The peer exported under an ID that is not its own: {import_id}")
        if len(self._imports) >= self.limits.max_table_entries:
            raise RpcError(
                f"More than {self.limits.max_table_entries} things are imported from the peer."
            )
        entry = self._imports[import_id] = Import(self, import_id)
        return entry

    def export_hook(self, export_id: int) -> Hook | None:
        """See `Importer`."""
        export = self._exports.get(export_id)
        return None if export is None else export.hook

    # The end.

    def _abort(self, error: RpcError) -> None:
        """The peer broke the protocol: tell it, and end."""
        self._send(["abort", self._encoded_error(error)])
        sentence = str(error)
        self._end(SessionClosed(f"The session was aborted: {sentence}", reason=sentence))
        self.transport.close(CLOSED_BY_US, sentence)

    def _end(self, error: SessionClosed) -> None:
        if self._closed is not None:
            return
        self._closed = error
        self._main = None
        imports, self._imports = self._imports, {}
        exports, self._exports = self._exports, {}
        for entry in imports.values():
            entry.fail(error)
        for export in exports.values():
            export.hook.dispose()

    # Hooks that were dropped without having been disposed of.

    def hook_dropped(self, entry: Import) -> None:
        """Python collects a hook of `entry`, in any thread, perhaps in the middle of a step: note
        it, and release it where a step may be taken."""
        if self._closed is not None:
            return
        if self._dropped is None:
            self._dropped = deque()
        self._dropped.append(entry)
        self.runtime.collect(self._collect_dropped)

    def _collect_dropped(self) -> None:
        dropped = self._dropped
        if not dropped:
            return
        with self.runtime.step:
            while dropped:
                entry = dropped.popleft()
                entry.hooks -= 1
                if entry.hooks == 0:
                    entry.forget()


Handler = Callable[[RpcSession, list[Any]], bool]

HANDLERS: Final[dict[str, Handler]] = {
    "push": RpcSession._on_push,
    "pull": RpcSession._on_pull,
    "resolve": RpcSession._on_resolve,
    "reject": RpcSession._on_reject,
    "release": RpcSession._on_release,
    "abort": RpcSession._on_abort,
}
"""What each message does. A handler returns False for a message that is not of its form."""


def parse(message: str | bytes) -> Any:
    """The JSON value of a message. Raises RpcError if it is none."""
    try:
        return wire.loads(message)
    except ValueError as error:
        failure = RpcError(f"The message is not JSON: {error}")
        failure.js_name = "SyntaxError"
        raise failure from None
