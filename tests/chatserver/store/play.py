"""The same done to a store and to the model of it."""

import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import pytest

from chatserver.errors import ChatError
from chatserver.people.token_terms import Role
from chatserver.store.events import Event
from chatserver.store.interface import Store
from chatserver.store.seats import Seat
from chatserver.store.values import Account, Claim, Joined
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.conftest import Clock
from tests.chatserver.store.model import Model, Refused

ROLES: Final[dict[str, Role]] = {"Dot": "moderator", "Eve": "admin"}
"""Of those who have accounts; all others are guests."""

PRIVATE: Final = ("+one", "+two")
EMOJI: Final = "👍"


class Play:
    """One chat, twice."""

    def __init__(self, open_it: Callable[[], Store], clock: Clock, restarts: bool) -> None:
        self.open_it = open_it
        self.clock = clock
        self.restarts = restarts
        self.store = open_it()
        self.model = Model(ROLES)
        self.joined: dict[str, list[Joined]] = {}
        """Stays, of those who have one."""
        self.seats: dict[tuple[str, str], Seat] = {}
        self.ids: dict[str, list[int]] = defaultdict(list)
        self.real: dict[str, str] = {}
        """Names of direct rooms, as the store has them, by those of the model."""
        self.names = itertools.count()
        self.passes: list[str] = []
        self.tail: list[Event] = []
        self.hearers: dict[int, set[str]] = {}
        """By message, who must hear it, by the model."""
        self.by: dict[str, str] = {}

    def do(self, name: str, *arguments: Any) -> None:
        getattr(self, name)(*arguments)
        self.follow()

    def both(self, name: str, modelled: Callable[[], Any], stored: Callable[[], Any]) -> Any:
        """What the store answers; both refuse for the same reason, or neither."""
        refusal = refusal_of(modelled)
        if refusal is None:
            return outcome(stored())
        with pytest.raises(ChatError) as caught:
            outcome(stored())
        assert caught.value.code == refusal, name
        return None

    def claim(self, who: str) -> Claim:
        return self.joined[who][-1].claim

    def seat(self, who: str, room: str) -> Seat:
        return self.seats.get((who, room), Seat(self.real.get(room, room), 10**6))

    # --- operations

    def login(self, who: str) -> None:
        lobby = who != "Cid"
        holder = f"worker.{next(self.names)}"
        account = Account(who, ROLES[who]) if who in ROLES else None
        joined = self.both(
            "login",
            lambda: self.model.login(who, lobby),
            lambda: self.store.claim(who, who, holder, None, lobby, account=account),
        )
        if joined:
            self.joined.setdefault(who, []).append(joined)
            self.by[joined.claim.by] = who
            for seat in joined.seats[:1] if lobby else ():
                self.seats[who, seat.room] = seat
            self.check_seats(who, joined)

    def check_seats(self, who: str, joined: Joined) -> None:
        assert {seat.room for seat in joined.seats} == {
            self.real.get(name, name)
            for name, room in self.model.rooms.items()
            if who in room.inside
        }
        for seat in joined.seats:
            assert seat in self.seats.values()

    def logout(self, who: str) -> None:
        if who in self.joined:
            self.model.logout(who)
            outcome(self.store.release(self.joined[who].pop().claim))
            self.forget_who_is_gone()

    def forget_who_is_gone(self) -> None:
        for who in [who for who in self.joined if not self.model.online[who]]:
            del self.joined[who]

    def lose(self, who: str) -> None:
        """The connection, and come back."""
        if who in self.joined:
            outcome(self.store.suspend(self.claim(who)))
            self.come_back(who, -1)

    def come_back(self, who: str, place: int) -> None:
        secret, holder = self.joined[who][place].claim.secret, f"worker.{next(self.names)}"
        account = Account(who, ROLES[who]) if who in ROLES else None
        joined = outcome(self.store.claim(who, who, holder, secret, False, account=account))
        assert joined.claim.secret == secret
        self.joined[who][place] = joined
        self.check_seats(who, joined)

    def restart(self) -> None:
        if self.restarts:
            self.store.close()
            self.store = self.open_it()
            for who, places in self.joined.items():
                for place in range(len(places)):
                    self.come_back(who, place)

    def wait(self) -> None:
        self.clock.advance(0.3)
        outcome(self.store.tick())

    def came_in(self, who: str, room: str, seat: Seat | None) -> None:
        if seat is not None:
            self.seats[who, room] = seat
            self.real[room] = seat.room

    def enter(self, who: str, room: str) -> None:
        if who in self.joined:
            claim, real = self.claim(who), self.real.get(room, room)
            if room[0] == "@" and room not in self.model.rooms:
                return
            seat = self.both(
                "enter", lambda: self.model.enter(who, room), lambda: self.store.enter(claim, real)
            )
            self.came_in(who, room, seat)

    def open(self, who: str, room: str, everything: bool) -> None:
        if who in self.joined and room not in self.model.rooms:
            claim = self.claim(who)
            self.model.open(who, room, everything)
            self.ids[room] = []
            made = self.store.open_room(claim, room, room, "", everything)
            self.came_in(who, room, outcome(made))

    def direct(self, who: str, other: str) -> None:
        if who not in self.joined:
            return
        number = next(n for n in itertools.count() if f"@{n}" not in self.model.rooms)
        claim, fresh = self.claim(who), f"@{next(self.names)}r"
        found: list[str] = []
        seat = self.both(
            "direct",
            lambda: found.append(self.model.direct(who, other, f"@{number}")),
            lambda: self.store.direct(claim, other, fresh),
        )
        if seat:
            (room,) = found
            if seat.room == fresh:
                self.ids[room] = []
                self.seats[other, room] = seat
            self.came_in(who, room, seat)

    def create_pass(self, who: str, room: str, uses: int) -> None:
        if who in self.joined:
            claim, seat, digest = (
                self.claim(who),
                self.seat(who, room),
                str(len(self.passes)),
            )
            self.passes.append(digest)
            self.both(
                "create_pass",
                lambda: self.model.create_pass(who, room, digest, uses),
                lambda: self.store.create_pass(claim, seat, digest, 1, uses),
            )

    def revoke_passes(self, who: str, room: str) -> None:
        self.in_room("revoke_passes", who, room)

    def accept(self, who: str, number: int) -> None:
        if who in self.joined:
            claim, digest, found = self.claim(who), str(number), []
            seat = self.both(
                "accept",
                lambda: found.append(self.model.accept(who, digest)),
                lambda: self.store.accept(claim, digest),
            )
            if seat:
                self.came_in(who, found[0], seat)

    def leave(self, who: str, room: str) -> None:
        if who in self.joined:
            claim, seat = self.claim(who), self.seat(who, room)
            self.both(
                "leave",
                lambda: self.model.leave(who, room),
                lambda: self.store.leave_room(claim, seat),
            )

    def hand_on(self, who: str, room: str, other: str) -> None:
        self.in_room("hand_on", who, room, other)

    def set_topic(self, who: str, room: str, topic: str) -> None:
        if who in self.joined:
            claim, seat, role = self.claim(who), self.seat(who, room), ROLES.get(who, "member")
            self.both(
                "set_topic",
                lambda: self.model.set_topic(who, room, topic),
                lambda: self.store.set_topic(claim, seat, topic, role),
            )

    def close(self, who: str, room: str) -> None:
        if who in self.joined:
            claim, seat = self.claim(who), self.seat(who, room)
            self.both(
                "close",
                lambda: self.model.close(who, room),
                lambda: self.store.close_room(claim, seat),
            )

    def say(self, who: str, room: str, text: str, key: int, reply_to: int) -> None:
        if who not in self.joined:
            return
        claim, seat = self.claim(who), self.seat(who, room)
        found: list[int] = []
        target = self.id_of(room, reply_to - 1) if reply_to else 0
        receipt = self.both(
            "say",
            lambda: found.append(self.model.say(who, room, text, str(key), reply_to)),
            lambda: self.store.say(claim, seat, text, str(key), target),
        )
        if receipt and found[0] >= 0:
            del self.ids[room][found[0] :]
            self.ids[room].append(receipt.id)
            self.hearers[receipt.id] = set(self.model.rooms[room].inside)

    def edit(self, who: str, room: str, number: int, text: str) -> None:
        self.on_message("edit", who, room, number, text)

    def remove(self, who: str, room: str, number: int) -> None:
        self.on_message("remove", who, room, number)

    def react(self, who: str, room: str, number: int, on: bool) -> None:
        self.on_message("react", who, room, number, EMOJI, on)

    def mark_read(self, who: str, room: str, number: int) -> None:
        if number < len(self.ids[room]):
            self.on_message("mark_read", who, room, number)

    # --- what these consist of

    def in_room(self, name: str, who: str, room: str, *rest: Any) -> None:
        if who in self.joined:
            claim, seat = self.claim(who), self.seat(who, room)
            self.both(
                name,
                lambda: getattr(self.model, name)(who, room, *rest),
                lambda: getattr(self.store, name)(claim, seat, *rest),
            )

    def on_message(self, name: str, who: str, room: str, number: int, *rest: Any) -> None:
        if who in self.joined:
            claim, seat = self.claim(who), self.seat(who, room)
            message = self.id_of(room, number)
            self.both(
                name,
                lambda: getattr(self.model, name)(who, room, number, *rest),
                lambda: getattr(self.store, name)(claim, seat, message, *rest),
            )

    def id_of(self, room: str, number: int) -> int:
        ids = self.ids[room]
        return ids[number] if number < len(ids) else 10**6

    # --- what must hold

    def follow(self) -> None:
        """Hear what the log tells."""
        while (self.tail[-1].id if self.tail else 0) < self.store.last_id:
            self.tail += self.store.follow(self.tail[-1].id if self.tail else 0, 0.02).events

    def check(self) -> None:
        for who in self.joined:
            by = self.claim(who).by
            for name, room in self.model.rooms.items():
                if who in room.inside:
                    self.check_room(who, by, name)
            seen = {info.name: info for info in self.store.rooms(by, None, 100)}
            expected = {
                self.real.get(name, name)
                for name, room in self.model.rooms.items()
                if room.kind == "public" or who in room.inside
            }
            assert seen.keys() == expected
        self.check_people()
        self.check_tail()

    def check_people(self) -> None:
        online = {who for who, stays in self.model.online.items() if stays}
        assert set(self.store.names()) == online & self.model.rooms["lobby"].inside.keys()
        assert [(one.name, one.online) for one in self.store.everyone(None, 100)] == [
            (who, who in online) for who in sorted(self.model.known)
        ]
        assert [place.name for place in self.store.places(None, 100)] == sorted(
            self.model.online.elements()
        )

    def check_room(self, who: str, by: str, name: str) -> None:
        room, seat = self.model.rooms[name], self.seats[who, name]
        info = self.store.room(by, seat)
        assert (info.kind, info.topic, info.people) == (room.kind, room.topic, len(room.inside))
        assert info.unread == len(room.messages) - room.read[who]
        assert info.owner == (room.kind == "private" and room.owner == who)
        assert [(one.name, one.online) for one in self.store.people(by, seat, None, 10)] == [
            (other, self.model.online[other] > 0) for other in sorted(room.inside)
        ]
        found = self.store.read_room(by, seat, limit=100, kinds="messages")
        assert [
            (
                self.by[event.by],
                event.text,
                event.edited_ms > 0,
                event.removed,
                {emoji: set(names) for emoji, (_, names) in (event.reactions or {}).items()},
            )
            for event in found
        ] == [
            (
                message.by[0],
                message.text,
                message.edited,
                message.removed,
                {emoji: {name for name, _ in found} for emoji, found in message.reactions.items()},
            )
            for message in self.model.history(who, name)
        ]

    def check_tail(self) -> None:
        """Each is told what was said while it was in, and `prev` leads from event to event."""
        inside: set[tuple[str, str]] = set()
        said_in: set[str] = set()
        newest: dict[str, int] = {}
        assert [event.id for event in self.tail] == list(range(1, len(self.tail) + 1))
        for event in self.tail:
            if event.type != "seat":
                assert event.prev == newest.get(event.room, 0)
                newest[event.room] = event.id
                if event.type == "chat" and event.room not in PRIVATE:
                    said_in.add(event.room)
            for by, room, _, begins in event.seats:
                (inside.add if begins else inside.discard)((by, room))
                is_empty = not any(other == room for _, other in inside)
                if is_empty and room != "lobby" and room not in said_in:
                    newest.pop(room, None)  # It has ended; another one may have its name.
            hearers = self.hearers.get(event.id)
            if hearers is not None and event.room != "lobby":
                assert {self.by[by] for by, room in inside if room == event.room} == hearers


def refusal_of(modelled: Callable[[], Any]) -> str | None:
    """The code with which the model refuses, if it does."""
    try:
        modelled()
    except Refused as refused:
        return str(refused.args[0])
    return None
