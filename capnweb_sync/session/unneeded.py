"""Calls whose results nobody needs: those of broadcasts.

Such a call is sent and takes an id, but makes no entry of the import table: a delivery costs an id
and a reference in the transport. The peer keeps the result until it is released, as it keeps any
other; the releases follow, gathered, when there are enough of them or the runtime tidies up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from ..limits import Limits
from ..observe.seen import Seen
from ..runtimes.interface import Runtime, Transport
from .lifecycle import Lifecycle

GATHERED_RELEASES: Final = 64
"""Releases of unneeded results that are sent together. More would let the peer's table grow;
fewer would cost a frame's share of a system call for each."""


class Unneeded(Lifecycle):
    """What hands frames to the transport, and sends the calls that need no answer."""

    __slots__ = (
        "_send_packed",
        "_tidying",
        "_unneeded",
        "_unneeded_first",
        "can_concatenate",
        "pack",
    )

    def __init__(
        self, transport: Transport, runtime: Runtime, limits: Limits, seen: Seen | None
    ) -> None:
        super().__init__(transport, runtime, limits, seen)
        # The transport's, at hand: each delivery of a broadcast uses them.
        self.pack = transport.pack if seen is None else seen.packing(transport.pack)
        self.can_concatenate = transport.can_concatenate
        self._send_packed = transport.send
        self._tidying = False
        self._unneeded = 0
        self._unneeded_first = 0

    def push_unneeded(self, packed: bytes, count: int) -> None:
        """Send `count` pushes, packed and joined, whose results nobody asks for; their releases
        follow, gathered with others. Under the step, on an open session, which the caller names in
        `Step.changing` if an exception comes out of this."""
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


@lru_cache(maxsize=256)  # those of sessions that hear the same broadcasts are the same
def releases(pack: Callable[[bytes], bytes], first: int, count: int) -> bytes:
    """The messages that release `count` imports from `first` on, packed and joined."""
    ids = range(first, first + count)
    return b"".join(pack(release_message(import_id)) for import_id in ids)


def release_message(import_id: int) -> bytes:
    """The message that releases an import."""
    return b'["release",%d,1]' % import_id
