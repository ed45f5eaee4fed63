"""A pipe: chunks on their way from a writer at the peer to a reader here, with no I/O.

A chunk is acknowledged when it has been read, which is what holds up a fast writer (the `pipe` and
`stream` messages of the protocol; `streams.ts` in the reference).
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from ..core.ledger import Kept
from ..core.served_calls import ServedCalls
from ..deferred import Deferred
from ..errors import RpcError

END: Final = object()
"""What a pipe's reader gets when there is nothing more."""


class Pipe:
    """Chunks between a writer at the peer and a reader here. Touched under the step."""

    __slots__ = (
        "__weakref__",
        "_chunks",
        "_error",
        "_error_kept",
        "_finished",
        "_kept",
        "_readers",
    )

    def __init__(self, kept: Kept | None = None) -> None:
        """`kept`: its place in the ledger of a session."""
        self._kept = kept
        # Not there until something waits: an empty deque is 600 bytes, of what Python takes from
        # the system in such a way that it is hardly ever given back.
        self._chunks: deque[tuple[Any, Deferred[None]]] | None = None
        self._readers: deque[Deferred[Any]] | None = None
        self._error: BaseException | None = None
        self._error_kept: Kept | None = None
        self._finished = False

    @property
    def failed(self) -> bool:
        """Whether nothing more can be read or written."""
        return self._error is not None

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
            if self._chunks is None:
                self._chunks = deque()
            self._chunks.append((chunk, taken))
        return taken

    def finish(self) -> None:
        """There are no more chunks."""
        self._finished = True
        while self._readers:
            self._readers.popleft().resolve(END)

    def fail(self, error: BaseException, kept: Kept | None = None) -> None:
        """The stream is broken, in whichever direction: nothing more is read or written. `kept`:
        the error's place in the ledger, if it is the peer's."""
        if self._error is not None or (self._finished and not self._chunks):
            return
        self._error, self._error_kept = error, kept
        # Emptied, not replaced: sixty thousand new ones are 40 MB, just when all is given back.
        while self._chunks:
            self._chunks.popleft()[1].reject(error)
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
        if self._readers is None:
            self._readers = deque()
        self._readers.append(reader)
        return reader

    def unread(self, reader: Deferred[Any]) -> None:
        """Whoever waits with `reader` has given up. A chunk that came meanwhile is the next one
        again."""
        if self._readers and reader in self._readers:
            self._readers.remove(reader)
        elif reader.error is None and reader.value is not END:
            self._put_back(reader.value)

    def _put_back(self, chunk: Any) -> None:
        """Make `chunk`, whose writer knows that it has been read, the next one."""
        if self._readers:
            self._readers.popleft().resolve(chunk)
        elif self._error is None:
            self._chunks = self._chunks or deque()
            self._chunks.appendleft((chunk, Deferred.of(None)))


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
