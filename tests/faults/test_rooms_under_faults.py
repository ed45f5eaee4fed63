"""Twelve people in five rooms and four conversations who say, edit, remove and react, while
connections are cut and the server is killed: what everyone heard is what happened."""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count, pairwise

import pytest

from chatclient import ChatClient, ChatError, Event, Room
from tests.faults.deployment import Deployment
from tests.faults.trouble import CUTS, Trouble
from tests.processes import DEADLINE, Processes, wait_until
from tests.proxy.proxy import Proxy

PEOPLE = 12
ROOMS = 5
CONVERSATIONS = 4
SEED = 20_300_102
EMOJI = ("👍", "🎉")
PING_SECONDS = 0.5


class Inhabitant:
    """Somebody who does something in a room, again and again.

    Attributes:
        said: by text, whether it was answered (its id), or may have been stored (0).
        heard: everything, in the order in which it came.
    """

    def __init__(self, name: str, url: str) -> None:
        self.chat = ChatClient(
            url,
            name,
            timeout=60,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
        )
        self.name = name
        self.rooms: list[Room] = []
        self.said: dict[str, int] = {}
        self.mine: dict[str, list[int]] = defaultdict(list)
        self.heard: list[Event] = []
        self.refused: set[str] = set()
        self.done = 0
        self._numbers = count()
        self._random = random.Random(f"{SEED} {name}")
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for event in self.chat.events():
            self.heard.append(event)

    def act(self) -> None:
        """Do one thing, and note what became of it."""
        room = self._random.choice(self.rooms)
        own = self.mine[room.name]
        what = self._random.random()
        try:
            if what < 0.6 or not own:
                text = f"{self.name} {next(self._numbers)}"
                self.said[text] = 0
                self.said[text] = room.send(text).id
                own.append(self.said[text])
            elif what < 0.75:
                room.edit(self._random.choice(own), f"{self.name} edited {next(self._numbers)}")
            elif what < 0.85:
                room.remove(own.pop(self._random.randrange(len(own))))
            else:
                on = self._random.random() < 0.7
                room.react(self._random.choice(own), self._random.choice(EMOJI), on)
        except ChatError as error:
            self.refused.add(error.code)
        self.done += 1


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def settle(people: list[Inhabitant], log: dict[str, list[Event]]) -> None:
    """Wait until everybody has heard the end of each room."""

    def heard_all() -> bool:
        return all(
            max((e.id for e in list(person.heard) if e.room == room.name), default=0)
            >= log[room.name][-1].id
            for person in people
            for room in person.rooms
        )

    wait_until(heard_all, timeout=DEADLINE, message="all have heard the end")


def all_events(room: Room) -> list[Event]:
    """All that has happened in a room, as it stands."""
    events: list[Event] = []
    while part := room.events(500, after=events[-1].id if events else 0):
        events += part
    return events


def all_messages(room: Room) -> list[Event]:
    """All that was said in it, as it stands."""
    messages: list[Event] = []
    while part := room.history(500, after=messages[-1].id if messages else 0):
        messages += part
    return messages


def fold(events: list[Event]) -> dict[int, tuple[bool, bool, dict[str, int]]]:
    """What events make of messages: edited, removed, and their reactions."""
    folded: dict[int, tuple[bool, bool, dict[str, int]]] = {}
    for event in events:
        if event.type == "chat":
            folded[event.id] = (False, False, {})
        elif event.type == "edit":
            folded[event.target] = (True, *folded[event.target][1:])
        elif event.type == "remove":
            folded[event.target] = (folded[event.target][0], True, {})
        elif event.type == "react":
            counts = {emoji: reaction.count for emoji, reaction in event.reactions.items()}
            folded[event.target] = (*folded[event.target][:2], counts)
    return folded


def test_everyone_hears_what_happens_in_their_rooms_whatever_breaks(
    processes: Processes, database: str, stack: ExitStack, full: bool
) -> None:
    deployment = Deployment(
        processes, database, ping_interval=PING_SECONDS, ping_timeout=PING_SECONDS
    )
    proxy = stack.enter_context(Proxy(deployment.address))
    people = [Inhabitant(f"Person {number}", proxy.url) for number in range(PEOPLE)]
    for person in people:
        stack.callback(person.chat.close)
    # Each room has half of the people, each conversation two of them.
    for number in range(ROOMS):
        for person in people[number : number + PEOPLE // 2]:
            person.rooms.append(person.chat.enter(f"room-{number}"))
    for number in range(CONVERSATIONS):
        first, second = people[number], people[-1 - number]
        first.rooms.append(first.chat.direct(second.name))
        second.rooms.append(second.chat.enter(first.rooms[-1].name))
    people = [person for person in people if person.rooms]
    begin = {
        (person.name, room.name): room.info().since for person in people for room in person.rooms
    }
    stop = threading.Event()

    def live(person: Inhabitant) -> None:
        while not stop.is_set():
            person.act()

    threads = [threading.Thread(target=live, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    with Trouble(proxy, CUTS, seed=SEED) as trouble:
        for _ in range(10 if full else 2):
            goal = sum(person.done for person in people) + (3000 if full else 150)
            wait_until(lambda goal=goal: sum(p.done for p in people) >= goal, timeout=120)  # type: ignore[misc]
            deployment.kill()
            deployment.start()
        wait_until(lambda: min(trouble.happened.values()) > 0, timeout=120)
        goal = sum(person.done for person in people) + 100
        wait_until(lambda: sum(p.done for p in people) >= goal, timeout=120)
    stop.set()
    for thread in threads:
        thread.join(2 * DEADLINE)
        assert not thread.is_alive()

    rooms = {room.name: room for person in people for room in person.rooms}
    # Reactions are told a quarter of a second later, at most four a second and room.
    wait_until(
        lambda: all(
            {m.id: {e: r.count for e, r in m.reactions.items()} for m in all_messages(room)}
            == {number: found[2] for number, found in fold(all_events(room)).items()}
            for room in rooms.values()
        ),
        timeout=120,
        message="all reactions are told",
    )
    log = {name: all_events(room) for name, room in rooms.items()}
    settle(people, log)

    for name, events in log.items():
        assert all(later.prev == earlier.id for earlier, later in pairwise(events)), name
        shown = {m.id: (m.edited is not None, m.removed) for m in all_messages(rooms[name])}
        folded = fold(events)
        assert shown == {number: found[:2] for number, found in folded.items()}
    told = Counter(event.id for events in log.values() for event in events)
    said = Counter(e.text for events in log.values() for e in events if e.type == "chat")
    del said[""]  # Removed ones.
    assert {*told.values(), *said.values()} == {1}
    for person in people:
        # What was asked again after its answer was lost, and had been done already.
        assert person.refused <= {"bad_request", "unavailable"}
        # Nothing answered is lost, and nothing is twice.
        stored = {event.id for events in log.values() for event in events}
        assert {number for number in person.said.values() if number} <= stored
        for room in person.rooms:
            heard = [event.id for event in person.heard if event.room == room.name and event.id]
            above = begin[person.name, room.name]
            assert heard == [event.id for event in log[room.name] if event.id > above], person.name
        ids = [event.id for event in person.heard if event.id and event.room != "lobby"]
        strangers = {e.room for e in person.heard} - {room.name for room in person.rooms}
        assert strangers <= {"lobby"}
        assert len(ids) == len(set(ids))
