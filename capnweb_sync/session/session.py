"""A session: one conversation with a peer, as those see it who hold one.

It is one object on five floors, each of which knows those below it:

    session     making one, the peer's main object, what can be asked of a session
    incoming    what the peer sends, and capabilities for the ids in it
    outgoing    what is sent: calls, answers, and ids for the capabilities in them
    unneeded    calls whose results nobody needs, and their gathered releases
    lifecycle   changes that are made whole, and the end

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

from collections.abc import Callable
from typing import Any

from ..codec.encoder import check_sendable
from ..core.hooks import ErrorHook, Hook
from ..core.local_hooks import hook_for_value
from ..core.served_calls import OnSendError
from ..core.stubs import RpcStub
from ..core.targets import BEGINNER
from ..errors import RpcError, SessionOfParent, fresh_copy
from ..limits import DEFAULT_LIMITS, Limits
from ..observe.seen import Observers, seen_by
from ..runtimes.interface import Runtime, Transport, default_runtime
from .export_table import ExportTable
from .import_hooks import ImportHook, MainHook
from .import_table import ImportTable
from .incoming import Incoming


class RpcSession(Incoming):
    """One conversation with a peer.

    `main` is what the peer gets as main object: an `RpcTarget`, a function, any value that can be
    sent, or None. One whose class defines `_on_session(session)` gets the new session with it.
    `session.main` is the peer's. Nothing here blocks, and application code runs only as jobs of
    the runtime.
    """

    __slots__ = ()

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
        runtime = runtime or default_runtime()
        seen = seen_by(observer, runtime, transport)
        super().__init__(transport, runtime, limits, seen)
        self.send_stack_traces = send_stack_traces
        self.calls.session = self
        self.calls.on_send_error = on_send_error
        hook: Hook
        if main is None:
            hook = ErrorHook(RpcError("This connection has no main object."))
        else:
            check_sendable(main)
            hook = served = hook_for_value(main)
            served.serve_on(self.calls)
        self.exports = ExportTable(self, hook)
        self.imports = ImportTable(self)
        self._main = None
        if seen is not None:
            self._step.run(seen.opened)
        if hasattr(type(main), BEGINNER):
            try:
                getattr(main, BEGINNER)(self)
            except BaseException:
                self.connection_lost(None, "Its main object has failed to begin.")
                raise

    @property
    def main(self) -> RpcStub:
        """A stub for the peer's main object. Disposing of it ends the session."""
        return self._main or self._step.run(self._make_main)

    def _make_main(self) -> RpcStub:
        if self.closed_by is not None:
            raise fresh_copy(self.closed_by)
        if self._main is None:
            self._main = RpcStub._of(MainHook(self.imports.main(self), is_promise=False))
        return self._main

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
        imports = len(self.imports.entries)
        if self.closed_by is None and 0 not in self.imports.entries:
            imports += 1
        return {"imports": imports, "exports": len(self.exports.entries)}
