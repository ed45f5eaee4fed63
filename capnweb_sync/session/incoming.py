"""What a session receives: text, which is cut into messages and taken one after another.

What each message does stands in `messages.py`. Whatever is in one, nothing is raised here, and no
code of the application runs; what breaks the protocol ends the session, as it does in the reference
(`rpc.ts`). The evaluator asks for the capabilities behind ids as it comes to them (`Importer`).
"""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakSet

from ..close_codes import CLOSED_BY_US
from ..codec.map_work import MapAllowance, MapWork
from ..core.hooks import Hook
from ..core.ledger import PIPE_COST, Kept
from ..core.served_calls import too_much
from ..deferred import abandon_turn
from ..errors import RpcError, RpcTypeError, SessionClosed, redacted
from ..limits import Limits
from ..observe.seen import Seen
from ..runtimes.interface import Runtime, Transport
from ..runtimes.steps import serving
from ..streams.pipe import Pipe
from ..streams.streams import ReadableStream
from .import_hooks import ImportHook
from .messages import parse, take
from .outgoing import Outgoing


class Incoming(Outgoing):
    """See the top of this file."""

    __slots__ = ("_map_allowance", "_map_work")

    def __init__(
        self, transport: Transport, runtime: Runtime, limits: Limits, seen: Seen | None
    ) -> None:
        super().__init__(transport, runtime, limits, seen)
        self._map_allowance: MapAllowance | None = None
        self._map_work: MapWork | None = None

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

    # What ends it.

    def _abort(self, error: RpcError) -> None:
        """The peer broke the protocol: tell it, and end."""
        self._send(["abort", self._encoded_error(error, "a message")])
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

    # What is in messages: capabilities for ids (`Importer`).

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

    def map_work(self) -> MapWork:
        """The bound on the work of a map; the same for all maps of one message."""
        if self._map_work is None:
            if self._map_allowance is None:
                self._map_allowance = MapAllowance(self.limits)
            self._map_work = MapWork(self.calls, self.limits, self._map_allowance)
        return self._map_work
