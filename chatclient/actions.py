"""What the commands of the terminal program do (`commands.py` says which there are)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .answers import RoomInfo
from .client import ChatClient
from .commands import (
    EMOJI,
    HISTORY_EVENTS,
    Misuse,
    addressed,
    help_text,
    parse,
    targeted,
)
from .display import DOING, escaped, line_of_users
from .errors import NoSuchRoom, NotJoined
from .events import Event, Receipt
from .moderating import Moderating
from .outgoing import Task
from .paging import newest
from .places import Place
from .room import Room
from .showing import Showing

MAX_LISTED: Final = 100
"""Rooms, or people of a room, that are shown at once."""


READ_SECONDS: Final = 3.0
"""How long telling what was read may take: leaving waits for it."""


class Actions:
    """What one does by typing. All of it is called by whoever reads what is typed; what asks the
    server is handed to `later`."""

    def __init__(
        self,
        chat: ChatClient,
        showing: Showing,
        names: set[str],
        *,
        later: Callable[[Task], None],
        send_seconds: float,
        patient: bool,
        history: int,
    ) -> None:
        """`names` are those that are known. Messages may take `send_seconds`, or are `patient`;
        on coming into a room, `history` messages of before are shown."""
        self._chat = chat
        self._showing = showing
        self._names = names
        self._later = later
        self._send_seconds = send_seconds
        self._patient = patient
        self._history = history
        self._moderating = Moderating(chat, showing, names, later)
        self.last_sent = 0
        # Where messages have no ids, as many of one's own are waited for as were sent.
        self.sent_without_id = 0
        self._actions: dict[str, Callable[[str], None]] = {
            "/accept": self._accept,
            "/all": lambda rest: self._wish("everywhere", rest),
            "/block": lambda rest: self._block(rest),
            "/unblock": lambda rest: self._block(rest, False),
            "/bell": lambda rest: self._wish("bell", rest),
            "/edit": self._edit,
            "/enter": self._enter,
            "/ban": lambda rest: self._moderating.ban(self._line, rest),
            "/help": lambda rest: self._showing.say(help_text(showing.places.present.moderates)),
            "/history": lambda rest: self._show_history(int(rest or HISTORY_EVENTS)),
            "/ids": lambda rest: self._wish("ids", rest),
            "/invite": self._invite,
            "/kick": lambda rest: self._moderating.kick(self._line, rest),
            "/lift": lambda rest: self._moderating.lift(self._line, rest),
            "/mute": lambda rest: self._moderating.mute(self._line, rest),
            "/leave": lambda rest: self._leave(),
            "/me": lambda rest: self.say(DOING + rest, f"{DOING}{rest}"),
            "/msg": self._msg,
            "/open": self._open,
            "/people": lambda rest: self._people(),
            "/react": self._react,
            "/remove": self._remove,
            "/reply": self._reply,
            "/room": self._room_command,
            "/rooms": lambda rest: self._rooms(),
            "/time": lambda rest: self._wish("times", rest),
            "/topic": self._topic,
            "/users": lambda rest: self._users(),
        }

    def command(self, line: str) -> None:
        """Do what a line says that begins with a slash. Raises Misuse."""
        word, rest = parse(line)
        self._line = line
        self._actions[word](rest)

    # ---- Saying

    def say(self, text: str, line: str, *, place: Place | None = None, reply_to: int = 0) -> None:
        """Say something where we are, or in a place; `line` is how it was typed."""
        here = place or self._showing.places.present

        def do() -> None:
            self._sent(self._send(here, text, reply_to))

        self._later(Task(line, do, says=True))

    def _send(self, place: Place, text: str, reply_to: int) -> Receipt:
        if place is self._showing.places.lobby and not reply_to:
            return self._chat.send(text, self._send_seconds, patient=self._patient)
        return self._room(place).send(
            text, reply_to=reply_to, timeout=self._send_seconds, patient=self._patient
        )

    def _sent(self, receipt: Receipt) -> None:
        self.last_sent = receipt.id or self.last_sent
        self.sent_without_id += not receipt.id

    def _room(self, place: Place) -> Room:
        """What acts in a place. Raises ChatError."""
        never_came = not place.name and place is not self._showing.places.lobby
        if place.gone or never_came:
            raise NotJoined(f"You are not in {place.label}.")
        if place.room is None:
            place.room = self._chat.enter(place.name)
        return place.room

    def _msg(self, rest: str) -> None:
        name, text = addressed(rest, self._names)
        place = self._showing.places.find(f"@{name}")
        if place is None:
            place = Place("", f"@{name}", ready=False)
        known = place

        def do() -> None:
            self._come(known, lambda: self._chat.direct(name))

        if known.room is None:
            self._later(Task("" if text else self._line, do))
        if text:
            self.say(text, self._line, place=known)
        else:
            self._showing.go(known)

    def _reply(self, rest: str) -> None:
        message, text = self._about(rest, not_by=self._showing.me)
        if not text:
            raise Misuse("It is /reply TEXT.")
        self.say(text, self._line, reply_to=message.id)

    # ---- Messages

    def _about(
        self, rest: str, *, by: str | None = None, not_by: str | None = None
    ) -> tuple[Event, str]:
        """The message that is meant, and what stands behind that. Raises Misuse."""
        target, text = targeted(rest)
        place = self._showing.places.present
        if target.number:
            found = place.message(target.number)
        elif target.name:
            found = place.last(by=target.name)
        else:
            found = place.last(by=by, not_by=not_by)
        if found is None:
            raise Misuse("There is no such message among the last ones here.")
        return found, text

    def _edit(self, rest: str) -> None:
        message, text = self._about(rest, by=self._showing.me)
        if text:
            self._here(lambda room: room.edit(message.id, text))
        else:
            self._showing.give_back(f"/edit #{message.id} {message.text}")

    def _remove(self, rest: str) -> None:
        message, more = self._about(rest, by=self._showing.me)
        if message.user != self._showing.me and self._showing.places.present.moderates:
            self._moderating.remove(self._line, message.id, more)
            return
        if more:
            raise Misuse("It is /remove, with nothing behind it but #N or @NAME.")
        self._here(lambda room: room.remove(message.id))

    def _react(self, rest: str) -> None:
        message, word = self._about(rest, not_by=self._showing.me)
        emoji, _, off = word.partition(" ")
        if not emoji or off not in ("", "off"):
            raise Misuse("It is /react EMOJI, or /react EMOJI off.")
        self._here(lambda room: room.react(message.id, EMOJI.get(emoji, emoji), not off))

    def _here(self, act: Callable[[Room], object]) -> None:
        place = self._showing.places.present

        def do() -> None:
            act(self._room(place))

        self._later(Task(self._line, do))

    # ---- Rooms

    def turn_to(self, place: Place) -> None:
        """Go to a place that is known."""
        self._showing.go(place)
        if not place.ready and place.name:
            self._later(Task("", lambda: self._come(place, lambda: self._chat.enter(place.name))))

    def _enter(self, rest: str) -> None:
        place = self._showing.places.find(rest)
        if place is not None:
            self.turn_to(place)
        else:
            self._go_to_new(rest, lambda: self._chat.enter(rest))

    def _room_command(self, rest: str) -> None:
        place = self._showing.places.find(rest) if rest else self._showing.places.back()
        if place is None:
            raise Misuse(f"You are not in {rest}; /enter {rest} comes in.")
        self.turn_to(place)

    def _open(self, rest: str) -> None:
        self._go_to_new(rest, lambda: self._chat.open(rest))

    def _accept(self, rest: str) -> None:
        self._go_to_new("…", lambda: self._chat.accept(rest))

    def _go_to_new(self, label: str, come: Callable[[], Room]) -> None:
        """Be in a room at once, so that what is typed is said there, and come in as soon as that
        is possible. If it is not, nothing is said there."""
        place = Place("", label, ready=False)
        self._showing.go(place)
        self._later(
            Task(
                self._line,
                lambda: self._come(place, come),
                undo=lambda: self._showing.leave(place),
            )
        )

    def _come(self, place: Place, come: Callable[[], Room]) -> None:
        """Come into a room, and show it. Raises ChatError."""
        if place.ready and place.room is not None:
            return
        place.room = come()
        info = place.room.info()
        self._showing.places.add(place, info.name, label_of(info))
        place.moderates = self._moderating.may(place)
        history = place.room.history(self._history) if self._history else []
        self._showing.arrive(place, history, info.topic)

    def come_in(self, name: str) -> None:
        """Be in a public room, or one in which one has a seat, at once. Raises ChatError."""
        place = Place("", name, ready=False)
        self._showing.places.go(place)
        self._come(place, lambda: self._chat.enter(name))

    def find_seats(self) -> None:
        """Learn which rooms one is in already. Raises ChatError."""
        places = self._showing.places
        for info in self._chat.rooms(limit=MAX_LISTED):
            if info.name == places.lobby.name:
                places.lobby.unseen = info.unread
                places.lobby.moderates = self._moderating.may(places.lobby)
            elif info.inside:
                place = Place("", "", ready=False, unseen=info.unread)
                places.add(place, info.name, label_of(info))

    def read(self, place: Place, message: int) -> None:
        """Tell the server that a message was read. Raises ChatError."""
        self._room(place).read(message, READ_SECONDS)

    def look_whether_inside(self, name: str) -> None:
        """Find out whether a room still has us, and whether we moderate it: a notice says it to
        people alone."""

        def do() -> None:
            place = self._showing.places.find(name)
            if place is not None and place.room is not None:
                try:
                    place.room.info()
                    place.moderates = self._moderating.may(place)
                except (NotJoined, NoSuchRoom):
                    self._showing.leave(place)

        self._later(Task("", do))

    def _leave(self) -> None:
        place = self._showing.places.present
        if place is self._showing.places.lobby:
            raise Misuse("The lobby is left with /quit.")

        def do() -> None:
            self._room(place).leave()
            self._showing.leave(place)

        self._later(Task(self._line, do))

    def _invite(self, name: str) -> None:
        place = self._showing.places.present

        def do() -> None:
            given = self._room(place).create_pass()
            if not name:
                self._showing.say(f"Whoever types this within a week comes in: /accept {given}")
                return
            invitation = f"Come to {place.label.removeprefix('+')}: /accept {given}"
            self._sent(self._chat.direct(name.removeprefix("@")).send(invitation))
            self._showing.say(f"* {escaped(name)} is invited.")

        self._later(Task(self._line, do))

    def _topic(self, rest: str) -> None:
        self._here(lambda room: room.set_topic(rest))

    def _people(self) -> None:
        def people(room: Room) -> None:
            found = room.people(limit=MAX_LISTED)
            told = [
                escaped(one.name)
                + ("" if one.role in ("", "member") else f" ({one.role})")
                + ("" if one.online else " (away)")
                for one in found
            ]
            more = ", …" if len(found) == MAX_LISTED else ""
            self._showing.say(f"{len(found)} here: {', '.join(told)}{more}")

        self._here(people)

    def _rooms(self) -> None:
        def do() -> None:
            places = {place.name: place for place in self._showing.places}
            for info in self._chat.rooms(limit=MAX_LISTED):
                place = places.get(info.name)
                about = f": {escaped(info.topic)}" if info.topic else ""
                unseen = f", {place.unseen} new" if place and place.unseen else ""
                here = "*" if info.inside else " "
                people = f"{info.people} {'person' if info.people == 1 else 'people'}"
                self._showing.say(f"{here} {escaped(label_of(info))}, {people}{unseen}{about}")

        self._later(Task(self._line, do))

    def _block(self, rest: str, on: bool = True) -> None:
        name = rest.removeprefix("@")

        def do() -> None:
            if name:
                self._chat.block(name, on)
            blocked = ", ".join(map(escaped, self._chat.blocked(limit=MAX_LISTED)))
            self._showing.say(f"You block {blocked or 'nobody'}.")

        self._later(Task(self._line, do))

    # ---- Reading

    def _users(self) -> None:
        self._later(Task(self._line, lambda: self._showing.say(line_of_users(self._chat.users()))))

    def _show_history(self, count: int) -> None:
        place = self._showing.places.present

        def do() -> None:
            if place is self._showing.places.lobby:
                self._showing.show_again(self._chat.newest(count), place)
            else:
                self._showing.show_again(newest(self._room(place).history, count), place)

        self._later(Task(self._line, do))

    def _wish(self, wish: str, rest: str) -> None:
        on = rest == "on" if rest else not getattr(self._showing.wishes, wish)
        setattr(self._showing.wishes, wish, on)


def label_of(info: RoomInfo) -> str:
    """What people call a room: `gardening`, `+Plans`, `@Bob`. Nobody can give a private room the
    label of another kind."""
    if info.other is not None:
        return f"@{info.other}"
    return info.name if info.kind == "public" else f"+{info.title}"
