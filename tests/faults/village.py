"""People in rooms and conversations who say, edit, remove and react, and whether what everyone
heard is what happened."""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from contextlib import ExitStack
from itertools import count, pairwise
from types import TracebackType
from typing import Any

from chatclient import ChatClient, ChatError, Event, Room
from tests.processes import DEADLINE, wait_until

PEOPLE = 12
ROOMS = 5
CONVERSATIONS = 4
SEED = 20_300_102
EMOJI = ("👍", "🎉")


class Inhabitant:
    """Somebody who does something in a room, again and again.

    Attributes:
        said: by text, whether it was answered (its id), or may have been stored (0).
        heard: everything, in the order in which it came.
    """

    def __init__(self, name: str, url: str, **pings: Any) -> None:
        self.chat = ChatClient(url, name, timeout=60, **pings)
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


class Village:
    """Twelve people in five rooms and four conversations, who act until the block is over.

    Attributes:
        people: all of them.
    """

    def __init__(self, url: str, **pings: Any) -> None:
        self._stack = ExitStack()
        self._stop = threading.Event()
        self.people: list[Inhabitant] = []
        for number in range(PEOPLE):
            self.people.append(Inhabitant(f"Person {number}", url, **pings))
            self._stack.callback(self.people[-1].chat.close)
        # Each room has half of the people, each conversation two of them.
        for number in range(ROOMS):
            for person in self.people[number : number + PEOPLE // 2]:
                person.rooms.append(person.chat.enter(f"room-{number}"))
        for number in range(CONVERSATIONS):
            first, second = self.people[number], self.people[-1 - number]
            first.rooms.append(first.chat.direct(second.name))
            second.rooms.append(second.chat.enter(first.rooms[-1].name))
        self._begin = {
            (person.name, room.name): room.info().since
            for person in self.people
            for room in person.rooms
        }
        self._threads = [
            threading.Thread(target=self._live, args=(person,)) for person in self.people
        ]

    def __enter__(self) -> Village:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._stack.close()

    def _live(self, person: Inhabitant) -> None:
        while not self._stop.is_set():
            person.act()

    def live_on(self, deeds: int) -> None:
        """Wait until so much more was done."""
        goal = sum(person.done for person in self.people) + deeds
        wait_until(lambda: sum(p.done for p in self.people) >= goal, timeout=120)

    def findings(self) -> list[str]:
        """Everything that is wrong, in sentences, once everybody has stopped."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * DEADLINE)
            assert not thread.is_alive()
        rooms = {room.name: room for person in self.people for room in person.rooms}
        # Reactions are told a quarter of a second later, at most four a second and room.
        wait_until(
            lambda: all(reactions_are_told(room) for room in rooms.values()),
            timeout=120,
            message="all reactions are told",
        )
        log = {name: all_events(room) for name, room in rooms.items()}
        settle(self.people, log)
        return [*self._wrong_logs(rooms, log), *self._wrong_people(log)]

    def _wrong_logs(self, rooms: dict[str, Room], log: dict[str, list[Event]]) -> list[str]:
        found = []
        for name, events in log.items():
            for earlier, later in pairwise(events):
                if later.prev != earlier.id:
                    found.append(f"In {name}, {later.id} says {later.prev} before it.")
            shown = {m.id: (m.edited is not None, m.removed) for m in all_messages(rooms[name])}
            folded = {number: state[:2] for number, state in fold(events).items()}
            if shown != folded:
                odd = sorted({*shown.items()} ^ {*folded.items()})[:6]
                found.append(f"In {name}, history is not what happened: {odd}.")
        told = Counter(event.id for events in log.values() for event in events)
        said = Counter(e.text for events in log.values() for e in events if e.type == "chat")
        del said[""]  # Removed ones.
        twice = [one for counter in (told, said) for one, times in counter.items() if times > 1]
        return [*found, *(f"{one} is there more than once." for one in twice)]

    def _wrong_people(self, log: dict[str, list[Event]]) -> list[str]:
        found = []
        stored = {event.id for events in log.values() for event in events}
        for person in self.people:
            lost = {number for number in person.said.values() if number} - stored
            if lost:
                found.append(f"What {person.name} said is lost: {sorted(lost)}.")
            # What was asked again after its answer was lost, and had been done already.
            if person.refused - {"bad_request", "no_such_message", "unavailable"}:
                found.append(f"{person.name} was refused: {person.refused}.")
            for room in person.rooms:
                heard = [event.id for event in person.heard if event.room == room.name and event.id]
                above = self._begin[person.name, room.name]
                expected = [event.id for event in log[room.name] if event.id > above]
                if heard != expected:
                    odd = sorted(set(heard) ^ set(expected))[:5]
                    found.append(f"{person.name} heard something else in {room.name}: {odd}.")
            strangers = {e.room for e in person.heard} - {room.name for room in person.rooms}
            if strangers - {"lobby"}:
                found.append(f"{person.name} heard of {strangers}.")
        return found


def reactions_are_told(room: Room) -> bool:
    """Whether history's reactions are what events have told."""
    shown = {m.id: {e: r.count for e, r in m.reactions.items()} for m in all_messages(room)}
    return shown == {number: state[2] for number, state in fold(all_events(room)).items()}


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
            folded[event.target] = (False, True, {})
        elif event.type == "react":
            counts = {emoji: reaction.count for emoji, reaction in event.reactions.items()}
            folded[event.target] = (*folded[event.target][:2], counts)
    return folded
