"""People who come, go, enter, leave, speak and come back at random, under a tail that moves on at
random: each connection hears exactly what the log says that it is to hear, in its order."""

import operator
import random
from concurrent.futures import Future
from functools import partial

import gevent
import pytest

from chatserver.capabilities.room import Room
from chatserver.errors import ChatError
from chatserver.rooms import recent
from chatserver.rooms.stays import Stays
from chatserver.store.events import Event
from chatserver.store.interface import Policy, system_clock
from chatserver.store.memory import MemoryStore
from tests.chatserver.greenlets import eventually, outcome
from tests.chatserver.rooms.somebody import Somebody, resuming

pytestmark = pytest.mark.usefixtures("gevent_default")

ROOMS = ("lobby", "red", "green", "blue")
STEPS = 300


class Listener:
    """One connection of somebody, and what the log said when it came."""

    def __init__(self, somebody: Somebody, since: int | None) -> None:
        self.somebody = somebody
        self.joined = somebody.person._arrival.joined
        self.after = self.joined.last_id if since is None else since
        self.open = True

    @property
    def heard(self) -> list[int]:
        return [event["id"] for event in self.somebody.heard]

    def expected(self, log: list[Event]) -> list[int]:
        """The ids of what it is to hear."""
        seats = {seat.room: seat.number for seat in self.joined.seats}
        ids = []
        for event in log:
            since = seats.get(event.room)
            if since is not None and event.id > max(since, self.after) and event.type != "seat":
                ids.append(event.id)
            for change in event.seats if event.id > self.joined.last_id else ():
                if change.by == self.joined.claim.by and change.begins:
                    seats[change.room] = change.number
                elif change.by == self.joined.claim.by:
                    seats.pop(change.room, None)
        return ids


class Play:
    """A chat, and what happens in it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.store = MemoryStore(Policy(), system_clock)
        self.log: list[Event] = []
        """As it was told: what is said in rooms that end is erased."""
        add = self.store._archive.add

        def note(event: Event, room: int | None) -> None:
            self.log.append(event)
            add(event, room)

        self.store._archive.add = note  # type: ignore[method-assign]
        self.stays = Stays(self.store)
        self.listeners: list[Listener] = []
        self.rooms: list[tuple[Listener, Room]] = []

    def erased(self) -> set[int]:
        """The ids of what was said in rooms that have ended."""
        return {event.id for event in self.store._archive.log if not event.room}

    def step(self) -> None:
        """Something happens."""
        choice = self.random.random
        present = [listener for listener in self.listeners if listener.open]
        if choice() < 0.4 and self.stays.feed.position < self.store.last_id:
            self.stays.feed.follow()
        if choice() < 0.3:
            gevent.sleep(0)
        if len(present) < 3 or choice() < 0.03:
            self.come(f"Person {len(self.listeners)}")
            return
        who = self.random.choice(present)
        kind = choice()
        if kind < 0.1:
            self.vanish(who)
        elif kind < 0.14:
            who.somebody.connection.stuck = not who.somebody.connection.stuck
        else:
            try:
                self.act(who, kind)
            except ChatError:
                pass  # Too many rooms, a room that has ended: as it may be.

    def come(self, name: str) -> None:
        self.listeners.append(Listener(Somebody(self.stays, name), None))

    def vanish(self, who: Listener) -> None:
        """The connection is lost; perhaps it comes back, with what it had heard."""
        since = who.heard[-1] if who.heard else who.after
        who.open = False
        who.somebody.end()
        if self.random.random() < 0.8:
            options = resuming(who.joined.claim.secret, since)
            back = Listener(Somebody(self.stays, who.joined.name, options), since)
            back.somebody.connection.stuck = self.random.random() < 0.3
            back.somebody.connection.buffered = 10**6 if back.somebody.connection.stuck else 0
            self.listeners.append(back)

    def entered(self, who: Listener, entering: "Future[Room]") -> None:
        if entering.exception() is None:
            self.rooms.append((who, entering.result()))

    def act(self, who: Listener, kind: float) -> None:
        person = who.somebody.person
        mine = [room for listener, room in self.rooms if listener is who]
        if kind < 0.3 or not mine:
            entered = partial(self.entered, who)
            person.enter(self.random.choice(ROOMS)).add_done_callback(entered)
        elif kind < 0.36:
            others = [other for other in self.listeners if other.open and other is not who]
            person.direct(self.random.choice(others).joined.name)
        elif kind < 0.45:
            outcome(self.random.choice(mine).leave())
        else:
            outcome(self.random.choice(mine).say("hello"))


@pytest.fixture(autouse=True)
def short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes back has to read the log more often than not."""
    monkeypatch.setattr(recent, "RECENT_EVENTS", 8)


@pytest.mark.parametrize("seed", range(6))
def test_everyone_hears_what_is_to_be_heard(seed: int, full: bool) -> None:
    for number in range(20 if full else 1):
        play = Play(seed + 1000 * number)
        for _ in range(STEPS):
            play.step()
        for listener in play.listeners:
            listener.somebody.connection.stuck = False
        while play.stays.feed.position < play.store.last_id:
            play.stays.feed.follow()
        backlogs = play.stays.feed._backlogs
        eventually(partial(operator.not_, backlogs))
        for listener in play.listeners:
            expected, heard = listener.expected(play.log), listener.heard
            assert heard == sorted(set(heard) & set(expected))
            # What was said in a room that has ended is not there any more for who reads the log.
            left = [number for number in expected if number not in play.erased()]
            told = [number for number in heard if number not in play.erased()]
            assert told == (left if listener.open else left[: len(told)])
            assert not listener.somebody.connection.close_code
        play.stays.stop()
