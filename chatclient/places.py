"""The rooms in which somebody at a terminal is, and in which of them.

Everything here may be used from any thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from .events import Event
from .room import Room

RECENT: Final = 50
"""Things that are remembered of each room: what is shown when one goes there, and what is meant by
`the last message`. More is in the server's history."""


@dataclass(eq=False)
class Place:
    """A room at the terminal.

    Attributes:
        name: what the server calls it; "" in the lobby of a server without rooms.
        label: what people call it: `gardening`, `@Bob`.
        room: to act there; None where it was not asked for yet.
        ready: whether we are in; otherwise nothing is shown of it yet.
        moderates: whether one may moderate it.
        gone: why one could not come in, or that it was left; nothing can be said there any more.
        shown: the id of the newest thing that was shown of it.
        unseen: messages that were not shown.
        mentions: those of them that mean us.
        recent: what happened last.
    """

    name: str
    label: str
    room: Room | None = None
    ready: bool = True
    moderates: bool = False
    gone: bool = False
    shown: int = 0
    unseen: int = 0
    mentions: int = 0
    recent: deque[Event] = field(default_factory=lambda: deque(maxlen=RECENT))

    def take(self, event: Event) -> None:
        """Remember something that happened; what changes a message changes what is remembered."""
        if event.type in ("edit", "remove"):
            for at, one in enumerate(self.recent):
                if one.id == event.target:
                    self.recent[at] = replace(one, text=event.text, removed=event.type == "remove")
        self.recent.append(event)

    def message(self, number: int) -> Event | None:
        """The message with this id, if it is remembered."""
        return next((one for one in self._messages() if one.id == number), None)

    def last(self, *, by: str | None = None, not_by: str | None = None) -> Event | None:
        """The newest message by somebody, or by anyone else than somebody."""
        for one in self._messages():
            if by is not None and one.user.casefold() != by.casefold():
                continue
            if one.user != not_by:
                return one
        return None

    def _messages(self) -> Iterator[Event]:
        return (one for one in reversed(self.recent) if one.type == "chat" and not one.removed)

    def count(self, mentioned: bool) -> None:
        """A message came that is not shown."""
        self.unseen += 1
        self.mentions += mentioned

    def see(self) -> list[Event]:
        """What was not shown yet, as far as it is remembered; from now on it is."""
        unseen = [event for event in self.recent if event.id > self.shown]
        self.unseen = self.mentions = 0
        if self.recent:
            self.shown = max(self.shown, self.recent[-1].id)
        return unseen


class Places:
    """All places; one is the present one."""

    def __init__(self, lobby: str) -> None:
        """`lobby` is what the server calls it."""
        self._lock = threading.RLock()
        self.lobby = self.present = self._before = Place(lobby, lobby or "lobby")
        self._all = {lobby: self.lobby}

    def __iter__(self) -> Iterator[Place]:
        with self._lock:
            return iter(list(self._all.values()))

    def of(self, event: Event) -> Place:
        """Where something happened; a place of its own if it was unknown."""
        with self._lock:
            place = self._all.get(event.room)
            if place is None and not event.room:
                return self.lobby
            if place is None:
                place = Place(event.room, event.room, ready=False)
                self._all[event.room] = place
            return place

    def find(self, typed: str) -> Place | None:
        """The place that people, or the server, call so; private ones also without the `+`, and
        conversations without the `@`."""
        wanted = typed.casefold()
        for ways in ((wanted,), (f"+{wanted}", f"@{wanted}")):
            for place in self:
                if place.label.casefold() in ways or place.name.casefold() in ways:
                    return place
        return None

    def add(self, place: Place, name: str, label: str) -> None:
        """The server calls a place so, and people: it takes the place of what was known of it by
        its name, from what happened there before we knew more."""
        with self._lock:
            others = {other.label for other in self if other.name != name}
            number = 2
            place.name, place.label = name, label
            while place.label in others:
                place.label = f"{label} ({number})"
                number += 1
            known = self._all.get(name)
            if known is not None and known is not place:
                place.recent.extend(known.recent)
                place.unseen, place.mentions = known.unseen, known.mentions
                place.shown = known.shown
                if self.present is known:
                    self.present = place
                if self._before is known:
                    self._before = place
            self._all[name] = place

    def remove(self, place: Place) -> None:
        """A place that was left; who was there is where he was before."""
        with self._lock:
            place.gone = True
            if self._all.get(place.name) is place:
                del self._all[place.name]
            if self.present is place:
                back = self._before if not self._before.gone else self.lobby
                self.present = self._before = back

    def go(self, place: Place) -> None:
        """Be in another place."""
        with self._lock:
            if place is not self.present:
                self._before, self.present = self.present, place

    def back(self) -> Place:
        """Where one was before."""
        with self._lock:
            return self.lobby if self._before.gone else self._before

    def nth(self, number: int) -> Place | None:
        """The place with this number, from 1 on."""
        places = list(self)
        return places[number - 1] if 0 < number <= len(places) else None

    def beside(self, step: int) -> Place:
        """The place so many steps after the present one, in a circle."""
        places = list(self)
        at = places.index(self.present) if self.present in places else 0
        return places[(at + step) % len(places)]

    def counts(self) -> str:
        """What was said elsewhere: `2 gardening 3 · 4 @Bob 1!`; each with its number for Alt."""
        told = [
            f"{number} {place.label} {place.unseen}{'!' if place.mentions else ''}"
            for number, place in enumerate(self, 1)
            if place.unseen and place is not self.present
        ]
        return " · ".join(told)
