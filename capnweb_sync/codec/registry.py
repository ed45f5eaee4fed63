"""Which values travel in which form, and where capabilities in them become ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from ..core.hooks import Hook
from ..limits import Limits

if TYPE_CHECKING:
    from ..core.hooks import Hook
    from ..core.served_calls import ServedCalls
    from ..streams.streams import ReadableStream, WritableStream
    from .map import MapWork


class Importer(Protocol):
    """Where ids in an expression become capabilities."""

    @property
    def limits(self) -> Limits:
        """What is accepted."""
        ...

    @property
    def calls(self) -> ServedCalls:
        """Which served calls the calls in the expression belong to."""
        ...

    def import_stub(self, import_id: int) -> Hook:
        """A hook for something that the peer exports."""
        ...

    def import_promise(self, import_id: int) -> Hook:
        """A hook for a promise that the peer exports."""
        ...

    def export_hook(self, export_id: int) -> Hook | None:
        """What this side exports under the id; it stays the table's."""
        ...

    def pipe_readable(self, export_id: int) -> ReadableStream:
        """The reading end of a pipe that the peer has opened."""
        ...

    def map_work(self) -> MapWork:
        """The bound on the work of a map in the expression."""
        ...


class Exporter(Protocol):
    """Where capabilities in a value become ids."""

    send_stack_traces: bool

    @property
    def calls(self) -> ServedCalls | None:
        """The served calls of the session that exports."""
        ...

    def export_stub(self, hook: Hook) -> int:
        """Take `hook` over; its new export id, negative."""
        ...

    def export_promise(self, hook: Hook) -> int:
        """Take `hook` over as a promise and send its resolution when it is there."""
        ...

    def import_id(self, hook: Hook) -> int | None:
        """The id of `hook` if it stands for something of the very peer that is sent to."""
        ...

    def export_sink(self, stream: WritableStream) -> int:
        """The export id of a stream that the peer may write to."""
        ...

    def create_pipe(self, source: ReadableStream) -> int:
        """Send `source` through a pipe, from when the message has been sent; the id of the pipe.
        Raises RpcError if it has been sent already."""
        ...

    def unexport(self, ids: Iterable[int]) -> None:
        """Take back exports, and pipes, that were not sent."""
        ...
