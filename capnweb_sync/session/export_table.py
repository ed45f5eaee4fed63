"""What a session exports to its peer: the entries of the table, and how they are resolved.

An entry is what the peer pushed an expression for, or what was sent to it as a capability. Its
resolution goes out once, when the peer has pulled it and it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..codec.encoder import LITERAL, Encoder
from ..core.hooks import Hook, PromiseHook, hook_in
from ..core.payload import Payload
from ..core.stubs import RpcStub
from ..deferred import Deferred
from ..errors import RpcError

if TYPE_CHECKING:
    from ..streams.streams import ReadableStream
    from .session import RpcSession


class Export:
    """One entry of the export table."""

    __slots__ = (
        "_pulled",
        "_session",
        "auto_release",
        "export_id",
        "hook",
        "introduced",
        "readable",
    )

    def __init__(self, session: RpcSession, export_id: int, hook: Hook) -> None:
        self._session: RpcSession | None = session
        """None once the peer refers to the entry no more. What is still under way for it, such as
        a call whose Future is never done, must not keep the session alive."""
        self.export_id = export_id
        self.hook = hook
        self.introduced = 1
        """How often the peer knows the id: once, since every export gets a new one."""
        self.auto_release = False
        """Whether the entry ends with its resolution, as those of `stream` messages do."""
        self.readable: ReadableStream | None = None
        """For a pipe: the reading end, until the peer has sent it to us."""
        self._pulled: Literal["no", "waiting", "answered"] = "no"

    def release(self, introduced: int) -> None:
        """The peer gives `introduced` of its references back. Raises RpcError for too many."""
        if self.introduced < introduced:
            raise RpcError(f"refcount would go negative: {self.introduced} < {introduced}")
        self.introduced -= introduced
        if self.introduced == 0:
            self.end()

    def end(self) -> None:
        """The peer refers to it no more, or the session is over. Idempotent; done again, it does
        what an exception has cut."""
        session, self._session = self._session, None
        if session is not None:
            self._answered(session)
        self.hook.dispose()
        if session is not None:
            session.forget_export(self.export_id)

    def pull(self) -> None:
        """Send the resolution once it is there; a second pull changes nothing."""
        if self._pulled == "no" and self._session is not None:
            self._pulled = "waiting"
            self._session.pulls_under_way += 1
            self._follow(self.hook)

    def _answered(self, session: RpcSession) -> None:
        if self._pulled == "waiting":
            self._pulled = "answered"
            session.pull_done()

    def _follow(self, hook: Hook) -> None:
        session = self._session
        if session is None or session._closed is not None:
            return
        while isinstance(hook, PromiseHook):
            if not hook.settled:
                hook.add_callback(self._here)
                return
            hook = hook_in(hook)
        pulled = hook.pull()
        while isinstance(pulled, Payload):
            value = pulled.value
            if (
                not isinstance(value, RpcStub)
                or value._path != ()
                or session.import_id(hook) is not None
            ):
                self._resolve(session, pulled)
                return
            # The value is a promise again: the peer wants what that one stands for.
            hook = value._hook
            pulled = hook.pull()

        def arrived(deferred: Deferred[Payload]) -> None:
            if deferred.error is not None:
                self._reject(deferred.error)
            else:
                self._follow(hook)

        pulled.add_callback(arrived)

    def _here(self, promise: Deferred[Hook]) -> None:
        self._follow(hook_in(promise))

    def _resolve(self, session: RpcSession, payload: Payload) -> None:
        expression = payload.value
        if type(expression) not in LITERAL:
            try:
                expression = Encoder(session, payload).encode()
            except Exception as error:
                self._reject(error)
                return
        session.send_resolve(self.export_id, expression)
        self._done(session)

    def _reject(self, error: BaseException) -> None:
        session = self._session
        if session is not None and session._closed is None:
            session.send_reject(self.export_id, error)
            self._done(session)

    def _done(self, session: RpcSession) -> None:
        self._answered(session)
        if self.auto_release:
            self.release(1)
