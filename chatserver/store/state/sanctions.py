"""Who is muted or banned, and where."""

import math
from collections.abc import Iterable, Iterator

from chatserver.store.refusals import banned, decided_above, muted, no_such_sanction, too_many
from chatserver.store.seats import MAX_SANCTIONS, Sanction, SanctionKind
from chatserver.store.state.records import Changes, Holding
from chatserver.store.values import Moment


class Sanctions:
    """Those that are in force, and those that are over and not forgotten yet."""

    def __init__(self, sanctions: Iterable[Sanction] = (), last_number: int = 0) -> None:
        """`last_number` is not to be given again."""
        self._by_room: dict[str, dict[int, Sanction]] = {}
        self._against: dict[tuple[str, SanctionKind, str], dict[int, Sanction]] = {}
        """By room, kind, and identity or digest of an address."""
        self._last_number = last_number
        self._first_end = math.inf
        """When the next one may be over, in milliseconds since 1970."""
        for sanction in sanctions:
            self._keep(sanction)

    def __len__(self) -> int:
        return sum(map(len, self._by_room.values()))

    def of(self, room: str, now_ms: int) -> list[Sanction]:
        """Those in force in one room, by number."""
        return sorted(one for one in self._by_room.get(room, {}).values() if one.holds(now_ms))

    def find(
        self, room: str, kind: SanctionKind, by: str, address: str, now_ms: int
    ) -> Sanction | None:
        """One in force that is against this identity, or guests from this address; "": none."""
        if room not in self._by_room:
            return None
        for aim in filter(None, (by, address)):
            for found in self._against.get((room, kind, aim), {}).values():
                if found.holds(now_ms):
                    return found
        return None

    def check_let_in(self, now: Moment, room: str, by: str, address: str) -> None:
        """Raises Banned."""
        found = self.find(room, "ban", by, address, now.wall)
        if found is not None:
            raise banned(found.left_ms(now.wall), found.reason)

    def check_may_speak(self, now: Moment, room: str, holding: Holding) -> None:
        """Raises Forbidden for who is muted there."""
        found = self.find(room, "mute", holding.who.by, holding.address, now.wall)
        if found is not None:
            raise muted(found.left_ms(now.wall), found.reason)

    def add(self, changes: Changes, sanction: Sanction) -> int:
        """Its number, which it gets now; the one of this kind against the same is over. Raises
        TooMany, Forbidden."""
        aim = sanction.by or sanction.address
        same = [
            found
            for found in self._against.get((sanction.room, sanction.kind, aim), {}).values()
            if found.by == sanction.by
        ]
        if len(self._by_room.get(sanction.room, ())) - len(same) >= MAX_SANCTIONS:
            raise too_many(MAX_SANCTIONS, "sanctions in one room")
        for old in same:
            if old.holds(sanction.time_ms):
                check_rank(old, sanction.rank)
        for old in same:
            self.remove(changes, old)
        made = sanction._replace(number=self._last_number + 1)
        self._keep(made)
        changes.sanctions[made.number] = made
        return made.number

    def get(self, room: str, number: int, now_ms: int) -> Sanction:
        """One in force in a room. Raises BadRequest."""
        found = self._by_room.get(room, {}).get(number)
        if found is None or not found.holds(now_ms):
            raise no_such_sanction()
        return found

    def lift(self, changes: Changes, sanction: Sanction, rank: int) -> None:
        """Somebody of this rank ends it. Raises Forbidden."""
        check_rank(sanction, rank)
        self.remove(changes, sanction)

    def remove(self, changes: Changes, sanction: Sanction) -> None:
        """It is over."""
        for aim in filter(None, (sanction.by, sanction.address)):
            where = (sanction.room, sanction.kind, aim)
            self._against[where].pop(sanction.number)
            if not self._against[where]:
                del self._against[where]
        found = self._by_room[sanction.room]
        del found[sanction.number]
        if not found:
            del self._by_room[sanction.room]
        changes.sanctions[sanction.number] = None

    def end_room(self, changes: Changes, room: str) -> None:
        """The room is no more."""
        for sanction in list(self._by_room.get(room, {}).values()):
            self.remove(changes, sanction)

    def pass_time(self, changes: Changes, now_ms: int) -> None:
        """Forget those whose time is over, by the wall's clock."""
        if now_ms < self._first_end:
            return
        for sanction in [one for one in self._all() if not one.holds(now_ms)]:
            self.remove(changes, sanction)
        ends = (one.until_ms for one in self._all() if one.until_ms is not None)
        self._first_end = min(ends, default=math.inf)

    def _all(self) -> Iterator[Sanction]:
        for found in self._by_room.values():
            yield from found.values()

    def _keep(self, sanction: Sanction) -> None:
        self._last_number = max(self._last_number, sanction.number)
        self._by_room.setdefault(sanction.room, {})[sanction.number] = sanction
        for aim in filter(None, (sanction.by, sanction.address)):
            where = (sanction.room, sanction.kind, aim)
            self._against.setdefault(where, {})[sanction.number] = sanction
        if sanction.until_ms is not None:
            self._first_end = min(self._first_end, sanction.until_ms)


def check_rank(sanction: Sanction, rank: int) -> None:
    """Whether somebody of this rank may change it. Raises Forbidden."""
    if rank < sanction.rank:
        raise decided_above()
