"""What a member is still to be told that the tail does not tell yet."""

from collections.abc import Iterable
from typing import NamedTuple

from chatserver.rooms.member import Member
from chatserver.store.events import SEED_TYPES, Event
from chatserver.store.seats import EVERYWHERE, Seat, SeatChange


class Span(NamedTuple):
    """A part of a room's events: those above `after`, up to `until`; None: no end in sight."""

    after: int
    until: int | None = None

    def has(self, number: int) -> bool:
        """Whether the event with this id is one of them."""
        return number > self.after and (self.until is None or number <= self.until)

    def over(self, number: int) -> bool:
        """Whether all of them were told once those up to this id are."""
        return self.until is not None and self.until <= number


class Backlog:
    """What one member hears, from when it came until it is up to date.

    Attributes:
        after: the id up to which it has been told.
        known: that of the entry as of which its seats were known when it came; what earlier ones
            say of them is in there already.
        last: the newest event of the lobby that was told, or passed over, since then.
    """

    __slots__ = ("_spans", "after", "known", "last", "member")

    def __init__(self, member: Member, seats: Iterable[Seat], after: int, known: int) -> None:
        self.member = member
        self.after = after
        self.known = known
        self.last = after
        self._spans = {seat.room: [Span(seat.number)] for seat in seats if member.hears(seat.room)}
        if member.full:
            self._spans[EVERYWHERE] = [Span(0)]

    def change(self, change: SeatChange, event: Event) -> None:
        """A seat of the member has begun or ended with `event`, which it is still to hear then."""
        spans = self._spans.setdefault(change.room, [])
        if change.begins:
            spans.append(Span(change.number))
        elif spans and spans[-1].until is None:
            spans[-1] = spans[-1]._replace(until=event.id)
        # Of one who comes and goes without end, not more is kept than it is still to hear of.
        self._spans[change.room] = [span for span in spans if not span.over(self.after)]

    @property
    def afters(self) -> dict[str, int]:
        """The rooms in which there may be something to tell, and the ids above which it is."""
        return {
            room: max(self.after, min(begins))
            for room, spans in self._spans.items()
            if (begins := [span.after for span in spans if not span.over(self.after)])
        }

    def unbroken(self, events: Iterable[Event]) -> bool:
        """Whether each of these events of the lobby follows the one before: none was trimmed in
        between."""
        for event in events:
            if event.prev > self.last:
                return False
            self.last = event.id
        return True

    def concerns(self, event: Event) -> bool:
        """Whether the member is to be told `event`."""
        if event.type not in SEED_TYPES and (event.type == "seat" or not self.member.full):
            return False
        return any(span.has(event.id) for span in self._spans.get(event.room, ()))
