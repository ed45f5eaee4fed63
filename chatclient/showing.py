"""What of a chat is shown, and where one is: the rooms, and the lines of what happens in them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from .display import escaped, line_of, quoted, reactions_of, spans_of
from .events import Event
from .inbox import BESIDE, EVERYWHERE
from .json_lines import json_line
from .looks import FAINT, INDENT, Ink, Span, plain
from .places import Place, Places
from .terminal import Terminal

LABEL_COLUMNS: Final = 16
"""Characters of a room's label before the line that is typed."""


@dataclass
class Wishes:
    """What somebody wants to see.

    Attributes:
        times: when each thing happened.
        ids: the numbers of messages.
        bell: a sound for what means one.
        everywhere: what happens in all rooms, not in the present one alone.
        json: lines for a program.
    """

    times: bool = False
    ids: bool = False
    bell: bool = False
    everywhere: bool = False
    json: bool = False


class Showing:
    """What is shown at one terminal. What happens is told by one thread, the rest by others."""

    def __init__(self, terminal: Terminal, ink: Ink, wishes: Wishes, *, interactive: bool) -> None:
        """Where it is not `interactive`, lines are as the transcript has them, to the letter."""
        self.wishes = wishes
        self._terminal = terminal
        self._ink = ink
        self._interactive = interactive
        self._lock = threading.RLock()
        self._day = datetime.now().astimezone().date()
        self._newest = 0  # The id of what happened last; ids grow over all rooms.
        self.begin("", "")

    def begin(
        self,
        me: str,
        lobby: str,
        read: Callable[[Place, int], None] = lambda place, message: None,
    ) -> None:
        """We are there, as `me`. `read` is told of each message that is shown."""
        self.me = me
        self._read = read
        self.places = Places(lobby)
        self._meant = re.compile(rf"(?<!\w){re.escape(me)}(?!\w)", re.IGNORECASE)

    # ---- What happens

    def happen(self, event: Event) -> None:
        """Show an event, or count it where it is not shown."""
        if event.type in BESIDE:
            return
        self._terminal.pace()
        with self._lock:
            if event.id < self._newest:
                self._begin_again()
            self._newest = event.id
            if event.room == EVERYWHERE:
                self.show_again([event], self.places.present)
                return
            place = self.places.of(event)
            if event.id <= place.shown:
                return  # It was in the history that was shown.
            if self.wishes.json:
                place.shown = event.id
                self._terminal.show(*plain(json_line(event)))
                return
            place.take(event)
            meant = self._means_me(event)
            self._call_by_name(place, event)
            here = place is self.places.present
            if place.ready if here else self._shows_all():
                place.shown = event.id
                self._show(event, place, meant)
            elif event.type == "chat" and event.user != self.me:
                place.count(meant)
                self._terminal.refresh()
            if meant and self.wishes.bell:
                self._terminal.ring()
            if event.type == "leave" and self.me in event.users and place is not self.places.lobby:
                self.leave(place)

    def _begin_again(self) -> None:
        """The log began anew: ids of before mean nothing."""
        for place in self.places:
            place.shown = 0
            place.recent.clear()

    def _call_by_name(self, place: Place, event: Event) -> None:
        """A conversation that somebody else began is called as whoever speaks in it."""
        if place.label == place.name and place.name.startswith("@") and event.user != self.me:
            place.label = f"@{event.user}"

    def _shows_all(self) -> bool:
        return self._interactive and self.wishes.everywhere

    def _means_me(self, event: Event) -> bool:
        if event.type != "chat" or event.user == self.me:
            return False
        return event.room.startswith("@") or bool(self._meant.search(event.text))

    # ---- Where one is

    def go(self, place: Place) -> None:
        """Be in a place; what happened there meanwhile is shown, if we are in."""
        with self._lock:
            self.places.go(place)
            if place.ready:
                self._tell_of(place)
                new = place.unseen
                self._show_all(place.see(), place, new)
        self._terminal.refresh()

    def arrive(self, place: Place, history: Sequence[Event], topic: str) -> None:
        """We are in a place now, of which this is the history: show it if we are there."""
        with self._lock:
            missed = [one for one in place.recent if not history or one.id > history[-1].id]
            place.recent.clear()
            place.recent.extend([*history, *missed])
            place.ready = True
            if place is self.places.present:
                self._tell_of(place, topic)
                new = place.unseen
                place.see()
                self._show_all([*history, *missed], place, new)
        self._terminal.refresh()

    def leave(self, place: Place) -> None:
        """We are not in a place any more, or have never come in."""
        with self._lock:
            present = self.places.present
            self.places.remove(place)
            if present is place:
                self._tell_of(self.places.present)
        self._terminal.refresh()

    def _tell_of(self, place: Place, topic: str = "") -> None:
        if not self.wishes.json:
            about = f": {escaped(topic)}" if topic else "."
            self.say(f"* You are in {escaped(place.label)}{about}")

    def prompt(self) -> str:
        """What stands before the line that is typed: `> `, elsewhere than in the lobby with the
        room's label."""
        place = self.places.present
        if place is self.places.lobby:
            return "> "
        label = escaped(place.label)
        short = f"{label[: LABEL_COLUMNS - 1]}…" if len(label) > LABEL_COLUMNS else label
        return f"{short}> "

    # ---- Lines

    def say(self, text: str) -> None:
        """Show a line that is no event; programs that read events do not get it."""
        if self.wishes.json:
            self.complain(text)
        else:
            self._terminal.show(*plain(text))

    def complain(self, text: str) -> None:
        """Show a line about something that is wrong."""
        self._terminal.complain(*plain(text))

    def give_back(self, line: str) -> None:
        """Let whoever types change a line."""
        self._terminal.put_back(line)

    def show_again(self, events: Iterable[Event], place: Place) -> None:
        """Show what was asked for of the history."""
        with self._lock:
            for event in events:
                if self.wishes.json:
                    self._terminal.show(*plain(json_line(event)))
                else:
                    self._show(event, place, self._means_me(event), again=True)

    def look_back(self, events: Sequence[Event]) -> None:
        """Show what happened in the lobby before, and which of it is new."""
        with self._lock:
            first = self._first_new(events, self.places.lobby.unseen)
            for event in events:
                if event.id == first:
                    self._rule(f"{self.places.lobby.unseen} new")
                self.happen(event)
            self.places.lobby.see()

    def catch_up(self, events: Iterable[Event], place: Place) -> None:
        """Show what happened before; what arrives of it is not shown once more."""
        for event in events:
            self.show_again([event], place)
            place.shown = event.id

    def _show_all(self, events: Sequence[Event], place: Place, new: int) -> None:
        """Show events; before the last `new` messages, that they are new."""
        first = self._first_new(events, new)
        for event in events:
            if event.id == first:
                self._rule(f"{new} new")
            self._show(event, place, self._means_me(event))

    def _first_new(self, events: Sequence[Event], new: int) -> int | None:
        """The id of the first of the last `new` messages; if they are not all there, that is
        told."""
        messages = [event.id for event in events if event.type == "chat" and event.user != self.me]
        if new > len(messages):
            self._rule(f"{new} new; /history {new} shows all")
        return messages[-new] if 0 < new <= len(messages) else None

    def _show(self, event: Event, place: Place, meant: bool, *, again: bool = False) -> None:
        # One's own coming and going is no news.
        if event.type != "chat" and event.users == (self.me,) and not again:
            return
        if event.type == "chat" and not again:
            self._read(place, event.id)
        if not self._interactive:
            self._terminal.show(*plain(line_of(event)))
            return
        spans: list[Span] = []
        if isinstance(event.time, datetime):
            local = event.time.astimezone()
            if local.date() != self._day:
                self._day = local.date()
                self._rule(f"{local:%A} {local.day} {local:%B %Y}")
            if self.wishes.times:
                spans.append((FAINT, f"{local:%H:%M} "))
        if self.wishes.ids and event.type == "chat":
            spans.append((FAINT, f"#{event.id} "))
        if place is not self.places.present:
            spans.append((FAINT, f"({escaped(place.label)}) "))
        about = place.message(event.reply_to or event.target)
        if event.type == "react":
            on = f' "{quoted(about.text)}"' if about else " a message"
            spans.append((FAINT, f"*{on}: {escaped(reactions_of(event)) or 'no reactions'}"))
        else:
            if event.reply_to and about:
                answered = f"{INDENT}> {escaped(about.user)}: {quoted(about.text)}"
                self._terminal.show([(FAINT, answered)])
            spans += spans_of(event, self._ink, self.me, meant)
        self._terminal.show(spans)

    def _rule(self, text: str) -> None:
        if self._interactive:
            self._terminal.show([(FAINT, f"—— {text} ——")])
