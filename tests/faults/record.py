"""What a crowd said and heard, written down as it happens, from any thread."""

import threading
import time
from array import array
from dataclasses import dataclass, field, replace
from enum import Enum

from chatclient import ChatError, Event, Receipt


def same(one: Event, other: Event) -> bool:
    """Whether two members were told the same. Servers of before there were rooms name no room and
    nobody's id, and who has joined by `join` is not told what was before."""
    if one.prev is None or other.prev is None:
        one = replace(one, prev=other.prev, room=other.room, by=other.by)
    return one == other


class Outcome(Enum):
    """How a `send` went."""

    UNDER_WAY = "under way"
    ANSWERED = "answered"
    UNKNOWN = "unknown"
    """It failed with an error that says that the message may have been stored."""
    REFUSED = "refused"
    """It failed with an error that says that it was not, and never will be."""


@dataclass(slots=True)
class Saying:
    """One call of `send`; no two have the same text. Times are those of `time.monotonic`."""

    member: str
    text: str
    began: float
    ended: float = float("inf")
    outcome: Outcome = Outcome.UNDER_WAY
    id: int | None = None
    error: str = ""

    def __str__(self) -> str:
        end = f"answered with id {self.id}" if self.id is not None else self.outcome.value
        return f"{self.member}'s {self.text[:40]!r} ({end}{self.error and ', ' + self.error})"


@dataclass(slots=True)
class Heard:
    """What one member received: ids in the order in which they came. `lost` says why nothing more
    will come, if that is so."""

    ids: "array[int]" = field(default_factory=lambda: array("q"))
    lost: str | None = None


class Record:
    """Everything that a crowd did since the last `forget`.

    An event is kept once, however many have received it; one that two members received differently
    is noted in `contradictions`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sayings: dict[str, Saying] = {}
        self.heard: dict[str, Heard] = {}
        self.events: dict[int, Event] = {}
        self.contradictions: list[str] = []
        self.unresolved: set[str] = set()
        """Texts of before the last `forget` that may still be stored."""

    def saying(self, member: str, text: str) -> Saying:
        """`member` is about to send `text`."""
        saying = Saying(member, text, time.monotonic())
        with self._lock:
            assert text not in self.sayings, f"{text!r} is said twice"
            self.sayings[text] = saying
        return saying

    def answered(self, saying: Saying, receipt: Receipt) -> None:
        """It is stored, says the server."""
        saying.id = receipt.id
        saying.outcome = Outcome.ANSWERED
        saying.ended = time.monotonic()

    def failed(self, saying: Saying, error: ChatError) -> None:
        """It was not answered."""
        saying.error = f"{type(error).__name__}: {error}"
        saying.outcome = Outcome.UNKNOWN if error.may_have_been_stored else Outcome.REFUSED
        saying.ended = time.monotonic()

    def received(self, member: str, event: Event) -> None:
        """`member` received an event."""
        with self._lock:
            known = self.events.setdefault(event.id, event)
            if not same(known, event):
                self.contradictions.append(
                    f"The event {event.id} is not the same for all: {member} received {event}, "
                    f"another one before {known}."
                )
            self.heard.setdefault(member, Heard()).ids.append(event.id)

    def lost(self, member: str, error: Exception) -> None:
        """`member` will receive nothing more, though it did not leave."""
        with self._lock:
            heard = self.heard.setdefault(member, Heard())
            heard.lost = f"{type(error).__name__}: {error}"

    def last_id(self, member: str) -> int:
        """The id of the last event that `member` received; 0 before the first."""
        with self._lock:
            heard = self.heard.get(member)
            return heard.ids[-1] if heard is not None and heard.ids else 0

    def names_told(self) -> set[str]:
        """Who is named by the joins that were received."""
        with self._lock:
            joins = [event for event in self.events.values() if event.type == "join"]
        return {name for event in joins for name in event.users}

    def count(self, outcome: Outcome) -> int:
        """How many sayings went so."""
        with self._lock:
            return sum(saying.outcome is outcome for saying in self.sayings.values())

    def ended(self) -> int:
        """How many sayings are over, whatever their outcome."""
        with self._lock:
            return sum(saying.outcome is not Outcome.UNDER_WAY for saying in self.sayings.values())

    def forget(self, last_id: int) -> None:
        """Begin anew behind the event `last_id`, which everybody has received. What had an unknown
        outcome and is not among the events may still be stored."""
        with self._lock:
            stored = {event.text for event in self.events.values()}
            self.unresolved = {
                *(self.unresolved - stored),
                *(
                    saying.text
                    for saying in self.sayings.values()
                    if saying.outcome is Outcome.UNKNOWN and saying.text not in stored
                ),
            }
            self.sayings.clear()
            self.events = {
                number: event for number, event in self.events.items() if number > last_id
            }
            for heard in self.heard.values():
                heard.ids = array("q", (number for number in heard.ids if number > last_id))
