"""Whether nothing was lost, nothing said twice, and all heard the same: a record against the log.

Each check looks for one kind of violation and reports it in sentences, with the evidence.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from chatclient import ChatClient, Event
from tests.faults.record import Outcome, Record, Saying, same

LOBBY = "lobby"

PAGE = 500
"""Events that one read returns at most."""


@dataclass(frozen=True)
class Evidence:
    """What is judged.

    Attributes:
        log: the events with ids above `after`, in the order in which the server gives them.
        record: what members did and heard since.
        connected: who is connected and shall have received everything.
        after: the id behind which the log and the record begin.
        joining: whether members joined within the record: then each one's events begin with its
            join at the latest. Otherwise with the first event above `after`.
    """

    log: Sequence[Event]
    record: Record
    connected: frozenset[str]
    after: int = 0
    joining: bool = True


def read_log(chat: ChatClient, after: int = 0) -> list[Event]:
    """All events of the lobby above the id `after` that there are at this moment."""
    lobby = chat.enter(LOBBY)
    log: list[Event] = []
    while page := lobby.events(PAGE, after=log[-1].id if log else after):
        log += page
    return log


def check(evidence: Evidence) -> list[str]:
    """Everything that is wrong, in sentences; empty if nothing is."""
    return [finding for look in CHECKS for finding in look(evidence)]


def ids_only_grow(evidence: Evidence) -> Iterator[str]:
    """And each event says which one was before it."""
    before = evidence.after
    for number, event in enumerate(evidence.log):
        if event.id <= before:
            yield f"In the log, {brief(event)} comes after the id {before}."
        elif number and event.prev != before:
            yield f"In the log, {brief(event)} comes after {before} and not after {event.prev}."
        before = event.id


def every_message_is_stored_as_answered(evidence: Evidence) -> Iterator[str]:
    """Answered: once, under this id. Unknown: once or not at all. Refused: not at all."""
    stored = by_text(evidence.log)
    for saying in evidence.record.sayings.values():
        events = stored.pop(saying.text, [])
        if saying.outcome is Outcome.ANSWERED and not events:
            yield f"{saying} is lost: it is not in the log."
        elif len(events) > 1:
            yield f"{saying} is stored {len(events)} times: {briefly(events)}."
        elif events and saying.outcome is Outcome.REFUSED:
            yield f"{saying} is in the log all the same: {brief(events[0])}."
        elif events and events[0].user != saying.member:
            yield f"{saying} is stored under another name: {brief(events[0])}."
        elif events and saying.id is not None and events[0].id != saying.id:
            yield f"{saying} is stored with another id: {brief(events[0])}."
    for text, events in stored.items():
        if text not in evidence.record.unresolved:
            yield f"Nobody has said what the log has: {briefly(events)}."
        elif len(events) > 1:
            yield f"What was said once is stored {len(events)} times: {briefly(events)}."


def what_was_answered_stands_before_what_was_said_later(evidence: Evidence) -> Iterator[str]:
    """One order, which is that of time where there is one."""
    answered = sorted(
        (saying for saying in evidence.record.sayings.values() if saying.id is not None),
        key=lambda saying: saying.ended,
    )
    ends = [saying.ended for saying in answered]
    latest: list[Saying] = []  # The one with the highest id among the first ones.
    for saying in answered:
        latest.append(saying if not latest else max(latest[-1], saying, key=id_of))
    for saying in answered:
        done = bisect_right(ends, saying.began)
        if done and id_of(latest[done - 1]) >= id_of(saying):
            earlier = latest[done - 1]
            late = saying.began - earlier.ended
            yield f"{saying} was said {late:.3f} s after {earlier} was, and stands before it."


def all_received_what_the_log_has(evidence: Evidence) -> Iterator[str]:
    """One content for all; nothing that is not stored."""
    yield from evidence.record.contradictions
    log = {event.id: event for event in evidence.log}
    last = evidence.log[-1].id if evidence.log else evidence.after
    for event in evidence.record.events.values():
        if evidence.after < event.id <= last and event.id not in log:
            yield f"Members received {brief(event)}, which is not in the log."
        elif event.id in log and not same(event, log[event.id]):
            yield f"Members received {brief(event)}, the log has {brief(log[event.id])}."


def each_member_received_everything_once_in_order(evidence: Evidence) -> Iterator[str]:
    """Connected at the end: up to the end. Otherwise up to where it was lost, without a gap; but
    nothing is owed to who was away for so long that it has left, until it joins again."""
    ids = [event.id for event in evidence.log]
    last = ids[-1] if ids else evidence.after
    for name, heard in evidence.record.heard.items():
        mine = [number for number in heard.ids if evidence.after < number <= last]
        for before, number in pairwise(mine):
            if number <= before:
                how = "twice" if number in mine[: mine.index(before) + 1] else "out of order"
                yield f"{name} received {number} {how}: it came after {before}."
        start = evidence.after
        if evidence.joining:
            start = mine[0] - 1 if mine else last
            joined = next((e.id for e in evidence.log if e.type == "join" and name in e.users), 0)
            if name in evidence.connected and not 0 < joined <= last:
                yield f"The log has no join of {name}."
            elif mine and joined and mine[0] > joined:
                yield f"{name} received nothing before {mine[0]}, but has joined with {joined}."
        end = last if name in evidence.connected else max(mine, default=start)
        received = set(mine)
        away = absences(evidence.log, name)
        missing = [
            number
            for number in ids
            if start < number <= end
            and number not in received
            and not any(
                left > mine[bisect_right(mine, number) - 1] and number < back for left, back in away
            )
        ]
        if missing:
            yield (
                f"{name} has not received {len(missing)} events: {ranges(missing)} "
                f"(it received {ranges(mine)}; the log ends with {last})."
            )


def absences(log: Sequence[Event], name: str) -> list[tuple[float, float]]:
    """When somebody was not in the chat: the ids of its leaves, each with that of the join after
    it, which after the last one may be still to come."""
    found: list[tuple[float, float]] = []
    left = None
    for event in log:
        if name in event.users and event.type == "leave":
            left = event.id
        elif name in event.users and event.type == "join" and left is not None:
            found.append((left, event.id))
            left = None
    return found if left is None else [*found, (left, inf)]


def everybody_stays_in_the_chat(evidence: Evidence) -> Iterator[str]:
    """A client comes back by itself, whatever happens."""
    for name, heard in evidence.record.heard.items():
        if heard.lost is not None:
            yield f"{name} was lost for good: {heard.lost}."


def joins_and_leaves_take_turns(evidence: Evidence) -> Iterator[str]:
    """A member joins before it leaves, and leaves before it joins again."""
    latest: dict[str, Event] = {}
    for event in evidence.log:
        if event.type == "chat" or event.count != len(event.users):
            continue  # Of a crowd, not all are named.
        for name in evidence.record.heard.keys() & set(event.users):
            before = latest.get(name)
            if before is not None and before.type == event.type:
                yield f"{name} is told twice: {brief(before)}, and then {brief(event)}."
            elif before is None and event.type == "leave" and evidence.joining:
                yield f"{name} left and had not joined: {brief(event)}."
            latest[name] = event


CHECKS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    ids_only_grow,
    every_message_is_stored_as_answered,
    what_was_answered_stands_before_what_was_said_later,
    all_received_what_the_log_has,
    each_member_received_everything_once_in_order,
    everybody_stays_in_the_chat,
    joins_and_leaves_take_turns,
)


def by_text(log: Iterable[Event]) -> dict[str, list[Event]]:
    """The messages among the events."""
    found: defaultdict[str, list[Event]] = defaultdict(list)
    for event in log:
        if event.type == "chat":
            found[event.text].append(event)
    return found


def id_of(saying: Saying) -> int:
    """The id that it was answered with."""
    assert saying.id is not None
    return saying.id


def brief(event: Event) -> str:
    """An event in a sentence."""
    return f"{event.id} ({event.type} of {event.user}: {event.text[:40]!r})"


def briefly(events: Iterable[Event]) -> str:
    """Events in a sentence."""
    return ", ".join(brief(event) for event in events)


MAX_RANGES = 5
"""How many ranges of ids a sentence has at most."""


def ranges(ids: Iterable[int]) -> str:
    """`1-5, 8`: ids, ascending runs of them put together."""
    runs: list[list[int]] = []
    for number in ids:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [f"{a}-{b}" if a < b else str(a) for a, b in runs[:MAX_RANGES]]
    return ", ".join(shown + ["…"] * (len(runs) > MAX_RANGES)) or "none"
