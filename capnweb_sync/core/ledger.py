"""How much memory a session keeps for its peer, in one sum, and all sessions together in another.

What a peer can make this process keep is of many kinds, and a bound on the number of each is either
so low that it meets the honest or so high that all of them together fill the memory. So everything
is counted in bytes, in one `Ledger` a session, about as what it costs Python:

    what is kept                          counted by                   until
    an entry of either table              the tables                   it is forgotten
    a result, a pushed value              `Payload.keep`               its last part goes
    arguments of a call under way         `Payload.keep`               it is done
    what promises bring into arguments    `ServedCalls.take`           the call is done
    what waits behind a promise           `ServedCalls.set_aside`      the promise settles
    a chunk of a stream, parts of a blob  `begin_write`, `hold`        it is read
    frames that wait to be sent           the server's outbox          they are sent
    a message that arrives in pieces      the server's frame reader    it is whole

What a call under way takes by itself, about 2 KiB, is left to the bound on their number. Past the
bound nothing is torn out of the middle of a change: the ledger notes that it is
`overdrawn`, and the session ends where the message, or the call, that it was working on is done.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, Final, Protocol
from weakref import WeakSet

ENTRY_COST: Final = 1024
"""Bytes of an entry of a table with its hook (measured: 301 to 450 on CPython 3.11), and of a small
value."""

SMALL_VALUE: Final = 512
"""Bytes of a value that the entry, or the call, which has it is counted with."""

PIPE_COST: Final = 1024
"""Bytes of a pipe beside its entry (measured: 400, and 1,000 once chunks have gone through it)."""

WAITING_COST: Final = 768
"""Bytes of a look that waits for a promise (measured: 660)."""

OBJECT_COST: Final = 1024
"""Bytes of a stub, a promise or an object by reference within a value (measured: 350 to 980)."""

UNWEIGHED: Final = 128
"""Bytes of a message, or of a text, that are not worth a look."""

REPORT_STEP: Final = 64 * 1024
"""Bytes by which a ledger may be ahead of what the sum of all knows. Sessions that keep less are
the ordinary ones, and cost the sum nothing."""

SHED_TO: Final = 0.9
"""The part of the whole bound at which ending sessions stops."""

NOTHING: Final = frozenset({type(None), bool, int, float})
"""Types of values that cost next to nothing by themselves."""

_size: Final = sys.getsizeof
_CONTAINERS: Final = frozenset({dict, list, tuple})
_LEAVES: Final = frozenset({str, bytes, int, float, bool, type(None), datetime})


def size_of(value: Any, most: int) -> int:
    """About how many bytes `value` takes, what stands in it several times counted once if it is a
    container; no further than a little past `most`."""
    kind = type(value)
    if kind not in _CONTAINERS:
        return _size(value) if kind in _LEAVES else OBJECT_COST
    if kind is dict and _LEAVES.issuperset(map(type, value.values())):  # the typical result
        return _size(value) + sum(map(_size, value)) + sum(map(_size, value.values()))
    total = 0
    containers = [value]
    walked: set[int] = set()
    while containers and total <= most:
        container = containers.pop()
        total += _size(container)
        items = container
        if type(container) is dict:
            items = container.values()
            total += sum(map(_size, container))
        if _LEAVES.issuperset(map(type, items)):
            total += sum(map(_size, items))
            continue
        walked.add(id(container))
        for item in items:
            kind = type(item)
            if kind in _LEAVES:
                total += _size(item)
            elif kind not in _CONTAINERS:
                total += OBJECT_COST
            elif id(item) not in walked:
                walked.add(id(item))
                containers.append(item)
    return total


class Owner(Protocol):
    """What keeps the things that a ledger counts."""

    def shed(self) -> None:
        """All together keep too much, and this one the most: give it up. It may be called in the
        middle of a change, so it must not change the session by itself."""
        ...


class MemoryOfAll:
    """What the sessions of one server keep together. Past its bound the largest go first."""

    __slots__ = ("_ledgers", "_look_at", "held", "most")

    def __init__(self, most: int) -> None:
        """`most`: bytes."""
        self.most = most
        self.held = 0
        self._look_at = most
        self._ledgers: WeakSet[Ledger] = WeakSet()

    def add(self, ledger: Ledger, size: int) -> None:
        """`ledger` keeps so many bytes more than it has told so far."""
        self._ledgers.add(ledger)
        self.held += size
        if self.held > self._look_at:
            self._look()

    def remove(self, ledger: Ledger) -> None:
        """It keeps nothing more."""
        self._ledgers.discard(ledger)
        self.held -= ledger.reported
        ledger.reported = 0

    def _look(self) -> None:
        """Ledgers tell what grows, not what shrinks: ask all, and end the largest if need be."""
        ledgers = sorted(self._ledgers, key=lambda ledger: ledger.own, reverse=True)
        for ledger in ledgers:
            ledger.reported = ledger.own
        self.held = sum(ledger.reported for ledger in ledgers)
        if self.held > self.most:
            for ledger in ledgers:
                if self.held <= self.most * SHED_TO:
                    break
                self.remove(ledger)
                if ledger.owner is not None:
                    ledger.owner.shed()
        # Not again for each small step of one that is just below the bound.
        self._look_at = max(self.most, self.held + self.most // 64)


class Ledger:
    """What one session keeps for its peer, in bytes.

    What is called most adds to `held` and compares with `mark` by itself; all else uses `hold` and
    `give_back`.
    """

    __slots__ = (
        "__weakref__",
        "_of_all",
        "held",
        "mark",
        "most",
        "overdrawn",
        "owner",
        "reported",
        "shared",
    )

    def __init__(self, most: int, of_all: MemoryOfAll | None = None) -> None:
        """
        Args:
            most: bytes that the session may keep.
            of_all: what all sessions of the server keep; None for one that stands alone.
        """
        self.most = most
        self._of_all = of_all
        self.held = 0
        self.shared = 0
        """Bytes of these that others hold as well, such as the frames of a broadcast: they count
        for this session in full, and not for all together."""
        self.mark = most if of_all is None else min(most, REPORT_STEP)
        """`look` is to be called when more than this is held."""
        self.reported = 0
        self.overdrawn = False
        self.owner: Owner | None = None
        """Who ends the session when all together keep too much."""

    def limit(self, most: int) -> None:
        """The session may keep `most` bytes: for a ledger that was begun by its transport."""
        self.most = most
        self.mark = min(most, self.mark)

    @property
    def own(self) -> int:
        """Bytes that would be free without this session."""
        return max(0, self.held - self.shared)

    @property
    def room(self) -> int:
        """Bytes that may still be kept."""
        return self.most - self.held

    def hold(self, size: int) -> None:
        """Keep `size` bytes more."""
        self.held += size
        if self.held > self.mark:
            self.look()

    def give_back(self, size: int) -> None:
        """`size` bytes less are kept."""
        self.held -= size

    def look(self) -> None:
        """More than `mark` is held: tell the sum of all; past the bound, note it."""
        if self.held > self.most:
            self.overdrawn = True
        of_all = self._of_all
        if of_all is not None:
            growth = self.own - self.reported
            if growth > 0:
                self.reported += growth
                of_all.add(self, growth)
            self.mark = min(self.most, self.held + REPORT_STEP)

    def close(self) -> None:
        """The session is over: nothing counts any more."""
        of_all, self._of_all = self._of_all, None
        if of_all is not None:
            of_all.remove(self)
        self.owner = None
        self.most = self.mark = sys.maxsize


class Kept:
    """A value in a ledger, until the last payload that refers to this is disposed of or collected:
    what a stream brings belongs to whoever reads it, who need not dispose of anything."""

    __slots__ = ("_ledger", "_size")

    def __init__(self, ledger: Ledger, size: int) -> None:
        self._ledger = ledger
        self._size = size
        ledger.hold(size)

    def __del__(self) -> None:
        self._ledger.held -= self._size
