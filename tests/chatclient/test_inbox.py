"""The inbox: each event once, in order, and never more than fit."""

import threading
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from chatclient.errors import ChatClosed, ConnectionLost
from chatclient.events import Event
from chatclient.inbox import Inbox
from tests.processes import DEADLINE


def event(number: int) -> Event:
    return Event(number, "chat", "Alice", str(number), datetime.now(timezone.utc))


class Log:
    """The server's history."""

    def __init__(self) -> None:
        self.first = 1
        self.last = 0
        self.reads: list[int] = []

    def fetch(self, room: str, after: int) -> list[Event]:
        """Three events at most."""
        self.reads.append(after)
        first = max(after + 1, self.first)
        return [event(number) for number in range(first, min(first + 3, self.last + 1))]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def inbox(log: Log) -> Inbox:
    inbox = Inbox(capacity=2, fetch=log.fetch)
    inbox.begin("epoch", last_id=0, since=0)
    return inbox


def put(inbox: Inbox, log: Log, *numbers: int) -> None:
    for number in numbers:
        log.last = max(log.last, number)
        inbox.put(event(number))


def take(inbox: Inbox, count: int) -> list[int]:
    taken = [inbox.take() for _ in range(count)]
    return [event.id for event in taken if event is not None]


def rest(inbox: Inbox) -> list[int]:
    inbox.end()
    return [event.id for event in iter(inbox.take, None)]


def test_events_are_taken_in_the_order_in_which_they_came(inbox: Inbox, log: Log) -> None:
    put(inbox, log, 1, 2)
    assert take(inbox, 2) == [1, 2]
    assert log.reads == []


def test_an_event_that_comes_twice_is_taken_once(inbox: Inbox, log: Log) -> None:
    put(inbox, log, 1, 1, 2, 1, 2)
    assert rest(inbox) == [1, 2]


def test_what_does_not_fit_is_fetched_from_history(inbox: Inbox, log: Log) -> None:
    put(inbox, log, *range(1, 11))
    assert take(inbox, 10) == list(range(1, 11))
    assert log.reads == [2, 5, 8]


def test_the_step_from_history_back_to_live_has_no_gap_and_no_repeat(
    inbox: Inbox, log: Log
) -> None:
    put(inbox, log, 1, 2, 3)
    assert take(inbox, 2) == [1, 2]
    log.last = 5  # History knows already what is still on its way here.
    assert take(inbox, 1) == [3]
    put(inbox, log, 4, 5, 6, 7)
    assert take(inbox, 4) == [4, 5, 6, 7]


def test_an_event_that_comes_while_history_is_read_is_not_lost(log: Log) -> None:
    def fetch(room: str, after: int) -> list[Event]:
        page = log.fetch(room, after)
        if after == 2:
            put(box, log, 9)
        return page

    box = Inbox(capacity=2, fetch=fetch)
    box.begin("epoch", last_id=0, since=0)
    put(box, log, *range(1, 9))
    assert take(box, 9) == list(range(1, 10))


def test_what_history_has_forgotten_is_not_waited_for(inbox: Inbox, log: Log) -> None:
    put(inbox, log, *range(1, 11))
    log.first = 100
    assert take(inbox, 2) == [1, 2]
    taker = threading.Thread(target=lambda: taken.extend(take(inbox, 1)))
    taken: list[int] = []
    taker.start()
    while not log.reads:
        pass
    put(inbox, log, 101)
    taker.join(DEADLINE)
    assert taken == [100]  # The oldest that is there.


def test_an_event_may_come_before_the_answer_to_the_join(log: Log) -> None:
    inbox = Inbox(capacity=10, fetch=log.fetch)
    put(inbox, log, 8)
    inbox.begin("epoch", last_id=7, since=0)
    put(inbox, log, 9)
    assert take(inbox, 2) == [8, 9]
    assert log.reads == []


def test_what_was_never_received_is_fetched(inbox: Inbox, log: Log) -> None:
    put(inbox, log, 1)
    log.last = 4
    put(inbox, log, 5)
    assert take(inbox, 5) == [1, 2, 3, 4, 5]


def test_history_comes_before_everything_else(inbox: Inbox, log: Log) -> None:
    inbox.begin("other", last_id=7, since=0)
    put(inbox, log, 8)
    inbox.put_history([event(5), event(6)])
    assert take(inbox, 3) == [5, 6, 8]


def test_in_a_log_that_began_anew_old_ids_mean_nothing(inbox: Inbox, log: Log) -> None:
    put(inbox, log, *range(1, 11))
    inbox.begin("new epoch", last_id=1, since=10)
    put(inbox, log, 2, 3)
    assert take(inbox, 2) == [1, 2]  # Those that were here already.
    assert inbox.seen == 3


def test_in_a_log_that_has_lost_its_end_new_ids_are_not_taken_for_old_ones(
    inbox: Inbox, log: Log
) -> None:
    put(inbox, log, 1, 2)
    assert take(inbox, 2) == [1, 2]
    inbox.begin("epoch", last_id=1, since=2)
    inbox.put(event(2))
    assert take(inbox, 1) == [2]


def test_going_on_in_the_same_log_repeats_nothing(inbox: Inbox, log: Log) -> None:
    put(inbox, log, 1, 2)
    inbox.begin("epoch", last_id=3, since=2)
    put(inbox, log, 2, 3)
    assert take(inbox, 3) == [1, 2, 3]


def test_several_takers_share_the_events(inbox: Inbox, log: Log) -> None:
    taken: list[int] = []

    def taker() -> None:
        while (event := inbox.take()) is not None:
            taken.append(event.id)

    takers = [threading.Thread(target=taker) for _ in range(4)]
    for thread in takers:
        thread.start()
    put(inbox, log, *range(1, 501))
    while len(taken) < 500:
        pass
    inbox.end()
    for thread in takers:
        thread.join(DEADLINE)
    assert sorted(taken) == list(range(1, 501))


def test_what_waits_can_be_taken_after_the_end(inbox: Inbox, log: Log) -> None:
    put(inbox, log, 1)
    assert rest(inbox) == [1]


def test_an_end_with_an_error_raises_it_after_what_waits(inbox: Inbox, log: Log) -> None:
    put(inbox, log, 1)
    inbox.end(ConnectionLost("gone"))
    inbox.end(ChatClosed("closed"))
    assert take(inbox, 1) == [1]
    with pytest.raises(ConnectionLost):
        inbox.take()


def test_an_end_wakes_whoever_waits(inbox: Inbox) -> None:
    taker = threading.Thread(target=inbox.take)
    taker.start()
    inbox.end()
    taker.join(DEADLINE)
    assert not taker.is_alive()


def test_announcements_come_once_and_are_kept_however_much_waits(inbox: Inbox, log: Log) -> None:
    def announced(number: int) -> Event:
        return replace(event(number), type="notice", room="*", prev=0)

    put(inbox, log, 1, 2, 3)  # one more than fit
    inbox.put(announced(4))
    inbox.put(announced(4))
    inbox.put(announced(5))
    assert inbox.rooms == [""]
    assert take(inbox, 5) == [1, 2, 4, 5, 3]
    assert inbox.seen == 5
