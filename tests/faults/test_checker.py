"""The checker finds each kind of violation, and nothing where there is none."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from chatclient import BadRequest, Event, Receipt, Unavailable
from tests.faults.checker import Evidence, check, ranges
from tests.faults.record import Record

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


def event(number: int, kind: str, user: str, text: str) -> Event:
    """An event; its time is that of its number."""
    users = () if kind == "chat" else (user,)
    time = NOON + timedelta(seconds=number)
    return Event(number, kind, user, text, time, users, len(users), "lobby", number - 1)


class Story:
    """Two members who join and say three things each, all of it stored, answered and received."""

    def __init__(self) -> None:
        self.record = Record()
        self.log = [event(1, "join", "Ann", "joins"), event(2, "join", "Bob", "joins")]
        for turn in range(3):
            self.say("Ann", f"Ann {turn}")
            self.say("Bob", f"Bob {turn}")
        self.deliver("Ann", 1)
        self.deliver("Bob", 2)

    def say(self, member: str, text: str) -> None:
        self.log.append(event(len(self.log) + 1, "chat", member, text))
        self.record.answered(
            self.record.saying(member, text), Receipt(self.log[-1].id, self.log[-1].time)
        )

    def deliver(self, member: str, first: int) -> None:
        for entry in self.log[first - 1 :]:
            self.record.received(member, entry)

    def findings(self) -> list[str]:
        return check(Evidence(self.log, self.record, frozenset({"Ann", "Bob"})))


@pytest.fixture
def story() -> Story:
    return Story()


def test_nothing_is_found_where_nothing_is_wrong(story: Story) -> None:
    assert story.findings() == []


def leave_and_join_again(story: Story, heard: int) -> None:
    """Bob hears up to this id, and is away; 10 says that he has left, 12 that he is back."""
    for entry in (
        event(9, "chat", "Ann", "away?"),
        event(10, "leave", "Bob", "leaves"),
        event(11, "chat", "Ann", "gone"),
        event(12, "join", "Bob", "joins"),
    ):
        story.log.append(entry)
        story.record.received("Ann", entry)
        if not heard < entry.id < 12:
            story.record.received("Bob", entry)
    for text in ("away?", "gone"):
        story.record.failed(
            story.record.saying("Ann", text), Unavailable("?", may_have_been_stored=True)
        )


def test_who_was_away_until_it_had_left_is_owed_what_comes_after_its_next_join(
    story: Story,
) -> None:
    leave_and_join_again(story, 8)

    assert story.findings() == []


def test_what_was_missed_after_the_leave_alone_is_owed(story: Story) -> None:
    leave_and_join_again(story, 10)

    assert story.findings() == [
        "Bob has not received 1 events: 11 (it received 2-10, 12; the log ends with 12)."
    ]


def test_an_unknown_outcome_may_be_stored_or_not(story: Story) -> None:
    for text in ("stored", "not stored"):
        saying = story.record.saying("Ann", text)
        story.record.failed(saying, Unavailable("silence", may_have_been_stored=True))
    story.log.append(event(9, "chat", "Ann", "stored"))
    story.record.received("Ann", story.log[-1])
    story.record.received("Bob", story.log[-1])

    assert story.findings() == []


def lose_from_the_log(story: Story) -> None:
    del story.log[-1]


def store_twice(story: Story) -> None:
    story.log.append(replace(story.log[-1], id=9))
    for member in ("Ann", "Bob"):
        story.record.received(member, story.log[-1])


def store_what_was_refused(story: Story) -> None:
    story.record.failed(story.record.saying("Ann", "no"), BadRequest("no"))
    story.log.append(event(9, "chat", "Ann", "no"))
    for member in ("Ann", "Bob"):
        story.record.received(member, story.log[-1])


def store_what_nobody_said(story: Story) -> None:
    story.log.append(event(9, "chat", "Ann", "a ghost"))
    for member in ("Ann", "Bob"):
        story.record.received(member, story.log[-1])


def store_under_another_name(story: Story) -> None:
    changed = replace(story.log[-1], user="Ann")
    story.log[-1] = story.record.events[8] = changed


def answer_with_another_id(story: Story) -> None:
    story.record.sayings["Ann 0"].id = 5


def store_against_the_order_of_time(story: Story) -> None:
    first, second = story.record.sayings["Ann 0"], story.record.sayings["Bob 0"]
    first.began, first.ended, second.began, second.ended = (
        second.began,
        second.ended,
        first.began,
        first.ended,
    )


def skip_an_id(story: Story) -> None:
    story.log[-1] = replace(story.log[-1], id=9, prev=8)


def repeat_an_id(story: Story) -> None:
    story.log.insert(3, story.log[3])


def receive_twice(story: Story) -> None:
    story.record.received("Bob", story.log[-1])


def receive_in_another_order(story: Story) -> None:
    ids = story.record.heard["Bob"].ids
    ids[3], ids[4] = ids[4], ids[3]


def miss_one(story: Story) -> None:
    del story.record.heard["Bob"].ids[3]


def miss_the_last(story: Story) -> None:
    del story.record.heard["Bob"].ids[-1]


def miss_the_own_join(story: Story) -> None:
    del story.record.heard["Bob"].ids[0]


def receive_something_else(story: Story) -> None:
    story.record.received("Cid", replace(story.log[-1], text="else"))


def receive_what_is_not_stored(story: Story) -> None:
    story.record.events[3] = story.record.events.pop(4)
    story.record.events[4] = replace(story.record.events[3], text="else")


def be_lost(story: Story) -> None:
    story.record.lost("Bob", Unavailable("gone"))


def join_twice(story: Story) -> None:
    story.log.append(event(9, "join", "Ann", "joins"))
    for member in ("Ann", "Bob"):
        story.record.received(member, story.log[-1])


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (lose_from_the_log, "is lost: it is not in the log"),
        (store_twice, "is stored 2 times"),
        (store_what_was_refused, "is in the log all the same"),
        (store_what_nobody_said, "Nobody has said"),
        (store_under_another_name, "under another name"),
        (answer_with_another_id, "with another id"),
        (store_against_the_order_of_time, "stands before it"),
        (skip_an_id, "comes after 7 and not after 8"),
        (repeat_an_id, "comes after the id 4"),
        (receive_twice, "Bob received 8 twice"),
        (receive_in_another_order, "Bob received 5 out of order"),
        (miss_one, "Bob has not received 1 events: 5 (it received 2-4, 6-8"),
        (miss_the_last, "Bob has not received 1 events: 8"),
        (miss_the_own_join, "Bob received nothing before 3, but has joined with 2"),
        (receive_something_else, "is not the same for all"),
        (receive_what_is_not_stored, "the log has 4 (chat of Bob"),
        (be_lost, "Bob was lost for good"),
        (join_twice, "Ann is told twice"),
    ],
)
def test_each_violation_is_found(
    story: Story, spoil: Callable[[Story], None], finding: str
) -> None:
    spoil(story)

    assert any(finding in found for found in story.findings()), story.findings()


def test_what_was_unknown_before_may_be_stored_later_but_once(story: Story) -> None:
    story.record.failed(
        story.record.saying("Ann", "late"), Unavailable("silence", may_have_been_stored=True)
    )
    story.record.forget(8)
    later = [event(9, "chat", "Ann", "late"), event(10, "chat", "Ann", "late")]
    connected = frozenset({"Ann", "Bob"})
    for entry in later:
        for member in connected:
            story.record.received(member, entry)

    once = check(Evidence(later[:1], story.record, connected, after=8, joining=False))
    twice = check(Evidence(later, story.record, connected, after=8, joining=False))

    assert once == []
    assert twice == [
        "What was said once is stored 2 times: 9 (chat of Ann: 'late'), 10 (chat of Ann: 'late')."
    ]


def test_ids_are_put_together_in_sentences() -> None:
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert ranges([]) == "none"
    assert ranges(range(0, 100, 2)) == "0, 2, 4, 6, 8, …"
