"""Whether all that must hold of what is stored holds.

One function for each kind of thing, which says in sentences what it finds; `findings` is all of
them. A rule that the stores keep to (`interface`, `state`) and that can be seen in what they hold
belongs here.
"""

from collections.abc import Iterator
from typing import Final, get_args

from chatserver.store.contents import Contents, Entry
from chatserver.store.events import MAX_USERS, Event, EventType, NoticeType, listed
from chatserver.store.interface import MAX_NOTICES
from chatserver.store.state import NOTICE_TYPES, Holding, Notice, UsedKey, digest_of

TYPES: Final = frozenset(get_args(EventType))


class Summary:
    """What was looked at, for who asked.

    Attributes:
        first_id, last_id: the ids of the log; 0 if it is empty.
        keys, names, notices: how many there are.
    """

    first_id = 0
    last_id = 0
    keys = 0
    names = 0
    notices = 0

    def __str__(self) -> str:
        log = f"events {self.first_id} to {self.last_id}" if self.last_id else "no events"
        return f"{log}, {self.names} names, {self.keys} keys, {self.notices} notices that wait"


def findings(contents: Contents, summary: Summary) -> Iterator[str]:
    """Look at everything; what does not hold, in sentences. `summary` is filled in on the way."""
    damage = list(contents.damage())
    yield from damage
    if damage:
        return  # what is read from there may be anything
    if not contents.epoch:
        yield "The log has no epoch."
    yield from _log(contents.entries(), contents.used_keys(), summary)
    yield from _names(contents.holdings(), summary)
    yield from _notices(contents.notices(), summary)


def _log(entries: Iterator[Entry], keys: Iterator[UsedKey], summary: Summary) -> Iterator[str]:
    """The log, and beside it the keys, both by id: so it may be longer than the memory is large."""
    before: Entry | None = None
    key = next(keys, None)
    for entry in entries:
        event = entry.event
        if before is None:
            summary.first_id = event.id
        elif event.id != before.event.id + 1:
            yield f"Event {before.event.id} is followed by {event.id}."
        if before is not None and entry.said != before.said + (event.type == "chat"):
            yield f"Event {event.id} counts {entry.said} messages, the one before {before.said}."
        yield from _event(event)
        while key is not None and key.id <= event.id:
            summary.keys += 1
            yield from _key(key, event, summary.first_id)
            key = next(keys, None)
        before = entry
        summary.last_id = event.id
    while key is not None:
        summary.keys += 1
        yield f"A key was answered with event {key.id}, which is not there yet."
        key = next(keys, None)


def _event(event: Event) -> Iterator[str]:
    if event.id < 1 or event.time_ms < 0:
        yield f"Event {event.id} is dated {event.time_ms}."
    if event.type not in TYPES:
        yield f"Event {event.id} is of no known type: {event.type!r}."
    elif not event.user or not event.text:
        yield f"Event {event.id} has no name or no text."
    elif event.type == "chat":
        if event.users or event.count:
            yield f"Event {event.id} is a message, and lists names."
    elif not (0 < len(event.users) <= MAX_USERS and event.count >= len(event.users)):
        yield f"Event {event.id} tells of {event.count} and lists {len(event.users)}."
    elif event.user != event.users[0] or not event.text.startswith(
        listed(event.users, event.count)
    ):
        yield f"Event {event.id} tells of others than it lists."


def _key(key: UsedKey, event: Event, first_id: int) -> Iterator[str]:
    """A key, and the event with its id or the first one above it."""
    if key.id < first_id:
        return  # that event was trimmed
    if key.id != event.id or event.type != "chat":
        yield f"A key was answered with event {key.id}, which is no message."
    elif key.time_ms != event.time_ms or key.text_digest != digest_of(event.text):
        yield f"A key was answered with event {key.id}, whose text or time is another."


def _names(holdings: Iterator[Holding], summary: Summary) -> Iterator[str]:
    numbers, secrets, holders = set[int](), set[str](), set[str]()
    for holding in holdings:
        summary.names += 1
        shown = repr(holding.name)
        if not (holding.key and holding.name and holding.secret):
            yield f"The name {shown} has no key, no name or no secret."
        if holding.number in numbers or holding.secret in secrets or holding.holder in holders:
            yield f"The name {shown} has its number, its secret or its holder from another one."
        if (holding.holder is None) == (holding.until is None):
            yield f"The name {shown} is held and waits, or neither."
        numbers.add(holding.number)
        secrets.add(holding.secret)
        if holding.holder is not None:
            holders.add(holding.holder)


def _notices(notices: Iterator[Notice], summary: Summary) -> Iterator[str]:
    waiting: dict[NoticeType, int] = dict.fromkeys(NOTICE_TYPES, 0)
    for notice in notices:
        summary.notices += 1
        if notice.type not in waiting:
            yield f"Notice {notice.number} is of no known type: {notice.type!r}."
            continue
        waiting[notice.type] += 1
        if not (notice.key and notice.name):
            yield f"Notice {notice.number} tells of nobody."
    for kind, count in waiting.items():
        if count > MAX_NOTICES:
            yield f"{count} notices of the kind {kind} wait, more than {MAX_NOTICES}."
