"""What a session exports to its peer: the entries of the table, and how they are resolved.

An entry is what the peer pushed an expression for, or what was sent to it as a capability. Its
resolution goes out once, when the peer has pulled it and it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .deferred import Deferred
from .encoder import Encoder
from .errors import RpcError
from .hooks import Hook
from .payload import Payload
from .stubs import RpcStub

if TYPE_CHECKING:
    from .session import RpcSession
    from .streams import ReadableStream


class Export:
    """One entry of the export table."""

    __slots__ = (
        "_pulled",
        "auto_release",
        "export_id",
        "hook",
        "introduced",
        "readable",
        "session",
        "stream_size",
    )

    def __init__(self, session: RpcSession, export_id: int, hook: Hook) -> None:
        self.session = session
        self.export_id = export_id
        self.hook = hook
        self.introduced = 1
        """How often the peer knows the id: once, since every export gets a new one."""
        self.auto_release = False
        """Whether the entry ends with its resolution, as those of `stream` messages do."""
        self.stream_size = 0
        """Bytes of the stream message that made it."""
        self.readable: ReadableStream | None = None
        """For a pipe: the reading end, until the peer has sent it to us."""
        self._pulled = False

    def release(self, introduced: int) -> None:
        """The peer gives `introduced` of its references back. Raises RpcError for too many."""
        if self.introduced < introduced:
            raise RpcError(f"refcount would go negative: {self.introduced} < {introduced}")
        self.introduced -= introduced
        if self.introduced == 0:
            self.session.forget_export(self.export_id)
            self.hook.dispose()

    def pull(self) -> None:
        """Send the resolution once it is there; a second pull changes nothing."""
        if not self._pulled:
            self._pulled = True
            self.session.pulls_under_way += 1
            self._follow(self.hook)

    def _follow(self, hook: Hook) -> None:
        pulled = hook.pull()
        if isinstance(pulled, Payload):
            self._resolve(hook, pulled)
            return

        def arrived(deferred: Deferred[Payload]) -> None:
            if deferred.error is not None:
                self._reject(deferred.error)
            else:
                self._resolve(hook, deferred.value)  # type: ignore[arg-type]

        pulled.add_callback(arrived)

    def _resolve(self, hook: Hook, payload: Payload) -> None:
        value = payload.value
        if (
            isinstance(value, RpcStub)
            and value._path is not None
            and self.session.import_id(hook) is None
        ):
            # The value is a promise again: the peer wants what that one stands for.
            inner = value._hook
            self._follow(inner.get(value._path, self.session.calls) if value._path else inner)
            return
        if not self.session.exports_still(self):
            self.session.pull_done()
            return
        try:
            expression = Encoder(self.session, payload).encode()
        except Exception as error:
            self._reject(error)
            return
        self.session.send_resolve(self.export_id, expression)
        self._done()

    def _reject(self, error: BaseException) -> None:
        if self.session.exports_still(self):
            self.session.send_reject(self.export_id, error)
            self._done()
        else:
            self.session.pull_done()

    def _done(self) -> None:
        if self.auto_release:
            self.session.stream_taken(self.stream_size)
            self.release(1)
        self.session.pull_done()
