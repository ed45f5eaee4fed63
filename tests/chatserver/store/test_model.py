"""All engines against the model: whatever people do, they are answered, told and shown what it
says."""

import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chatserver.errors import ChatError
from chatserver.store import open_store
from chatserver.store.events import Event
from chatserver.store.interface import Policy, Store
from chatserver.store.seats import Seat
from chatserver.store.values import Joined
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.conftest import Clock
from tests.chatserver.store.model import Message, Model, Refused

NAMES: Final = ("Ann", "Bob", "Cid")
PUBLIC: Final = ("lobby", "tea")
PRIVATE: Final = ("+one", "+two")
EMOJI: Final = "👍"

people = st.sampled_from(NAMES)
rooms = st.sampled_from((*PUBLIC, *PRIVATE, "@0", "@1"))
numbers = st.integers(0, 3)

OPERATIONS: Final = st.one_of(
    st.tuples(st.just("login"), people),
    st.tuples(st.just("logout"), people),
    st.tuples(st.just("lose"), people),
    st.tuples(st.just("restart")),
    st.tuples(st.just("wait")),
    st.tuples(st.just("enter"), people, rooms),
    st.tuples(st.just("open"), people, st.sampled_from(PRIVATE), st.booleans()),
    st.tuples(st.just("direct"), people, people),
    st.tuples(st.just("create_pass"), people, rooms, st.integers(1, 2)),
    st.tuples(st.just("revoke_passes"), people, rooms),
    st.tuples(st.just("accept"), people, numbers),
    st.tuples(st.just("leave"), people, rooms),
    st.tuples(st.just("hand_on"), people, rooms, people),
    st.tuples(st.just("set_topic"), people, rooms, st.sampled_from(("", "tea"))),
    st.tuples(st.just("close"), people, rooms),
    *[
        st.tuples(st.just("say"), people, rooms, st.sampled_from("xy"), numbers, numbers)
        for _ in range(3)
    ],
    st.tuples(st.just("edit"), people, rooms, numbers, st.sampled_from("zw")),
    st.tuples(st.just("remove"), people, rooms, numbers),
    st.tuples(st.just("react"), people, rooms, numbers, st.booleans()),
    st.tuples(st.just("mark_read"), people, rooms, numbers),
)


BEGINNING: Final = (
    *[("login", who) for who in NAMES],
    ("open", "Ann", "+one", False),
    ("create_pass", "Ann", "+one", 2),
    ("accept", "Bob", 0),
    ("accept", "Cid", 0),
    ("direct", "Bob", "Ann"),
)
"""So that there is something to do from the start."""


class Play:
    """The same done to a store and to the model."""

    def __init__(self, open_it: Callable[[], Store], clock: Clock, restarts: bool) -> None:
        self.open_it = open_it
        self.clock = clock
        self.restarts = restarts
        self.store = open_it()
        self.model = Model()
        self.joined: dict[str, Joined] = {}
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

    def seat(self, who: str, room: str) -> Seat:
        return self.seats.get((who, room), Seat(self.real.get(room, room), 10**6))

    # --- operations

    def login(self, who: str) -> None:
        lobby = who != "Cid"

        def model() -> None:
            self.model.login(who)
            if lobby:
                self.model.enter(who, "lobby")

        holder = f"worker.{next(self.names)}"
        joined = self.both("login", model, lambda: self.store.claim(who, who, holder, None, lobby))
        if joined:
            self.joined[who] = joined
            self.by[joined.claim.by] = who
            for seat in joined.seats:
                self.seats[who, seat.room] = seat

    def logout(self, who: str) -> None:
        if who in self.joined:
            self.model.logout(who)
            outcome(self.store.release(self.joined.pop(who).claim))

    def lose(self, who: str) -> None:
        """The connection, and come back."""
        if who in self.joined:
            claim = self.joined[who].claim
            outcome(self.store.suspend(claim))
            self.come_back(who)

    def come_back(self, who: str) -> None:
        secret, holder = self.joined[who].claim.secret, f"worker.{next(self.names)}"
        joined = outcome(self.store.claim(who, who, holder, secret, False))
        self.joined[who] = joined
        mine = set(joined.seats)
        assert {seat.room for seat in mine} == {
            self.real.get(name, name)
            for name, room in self.model.rooms.items()
            if who in room.inside
        }
        for seat in mine:
            assert seat in self.seats.values()

    def restart(self) -> None:
        if self.restarts:
            self.store.close()
            self.store = self.open_it()
            for who in list(self.joined):
                self.come_back(who)

    def wait(self) -> None:
        self.clock.advance(0.3)
        outcome(self.store.tick())

    def came_in(self, who: str, room: str, seat: Seat | None) -> None:
        if seat is not None:
            self.seats[who, room] = seat
            self.real[room] = seat.room

    def enter(self, who: str, room: str) -> None:
        if who in self.joined:
            claim, real = self.joined[who].claim, self.real.get(room, room)
            if room[0] == "@" and room not in self.model.rooms:
                return
            seat = self.both(
                "enter", lambda: self.model.enter(who, room), lambda: self.store.enter(claim, real)
            )
            self.came_in(who, room, seat)

    def open(self, who: str, room: str, everything: bool) -> None:
        if who in self.joined and room not in self.model.rooms:
            claim = self.joined[who].claim
            self.model.open(who, room, everything)
            self.ids[room] = []
            made = self.store.open_room(claim, room, room, "", everything)
            self.came_in(who, room, outcome(made))

    def direct(self, who: str, other: str) -> None:
        if who not in self.joined:
            return
        number = next(n for n in itertools.count() if f"@{n}" not in self.model.rooms)
        claim, fresh = self.joined[who].claim, f"@{next(self.names)}r"
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
                self.joined[who].claim,
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
            claim, digest, found = self.joined[who].claim, str(number), []
            seat = self.both(
                "accept",
                lambda: found.append(self.model.accept(who, digest)),
                lambda: self.store.accept(claim, digest),
            )
            if seat:
                self.came_in(who, found[0], seat)

    def leave(self, who: str, room: str) -> None:
        if who in self.joined:
            claim, seat = self.joined[who].claim, self.seat(who, room)
            self.both(
                "leave",
                lambda: self.model.leave(who, room),
                lambda: self.store.leave_room(claim, seat),
            )

    def hand_on(self, who: str, room: str, other: str) -> None:
        self.in_room("hand_on", who, room, other)

    def set_topic(self, who: str, room: str, topic: str) -> None:
        self.in_room("set_topic", who, room, topic)

    def close(self, who: str, room: str) -> None:
        if who in self.joined:
            claim, seat = self.joined[who].claim, self.seat(who, room)
            self.both(
                "close",
                lambda: self.model.close(who, room),
                lambda: self.store.close_room(claim, seat),
            )

    def say(self, who: str, room: str, text: str, key: int, reply_to: int) -> None:
        if who not in self.joined:
            return
        claim, seat = self.joined[who].claim, self.seat(who, room)
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

    def in_room(self, name: str, who: str, room: str, *rest: Any) -> None:
        if who in self.joined:
            claim, seat = self.joined[who].claim, self.seat(who, room)
            self.both(
                name,
                lambda: getattr(self.model, name)(who, room, *rest),
                lambda: getattr(self.store, name)(claim, seat, *rest),
            )

    def on_message(self, name: str, who: str, room: str, number: int, *rest: Any) -> None:
        if who in self.joined:
            claim, seat = self.joined[who].claim, self.seat(who, room)
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
        for who, joined in self.joined.items():
            by = joined.claim.by
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
        self.check_tail()

    def check_room(self, who: str, by: str, name: str) -> None:
        room, seat = self.model.rooms[name], self.seats[who, name]
        info = self.store.room(by, seat)
        assert (info.kind, info.topic, info.people) == (room.kind, room.topic, len(room.inside))
        assert info.unread == len(room.messages) - room.read[who]
        assert info.owner == (room.kind == "private" and room.owner == who)
        assert [one.name for one in self.store.people(by, seat, None, 10)] == sorted(room.inside)
        found = self.store.read_room(by, seat, limit=100, kinds="messages")
        expected = self.model.history(who, name)
        shown = [
            Message(
                self.by[event.by],
                event.text,
                event.edited_ms > 0,
                event.removed,
                {emoji: set(names) for emoji, (_, names) in (event.reactions or {}).items()},
            )
            for event in found
        ]
        assert shown == expected

    def check_tail(self) -> None:
        """Each is told what was said while it was in, and `prev` leads from event to event."""
        inside: set[tuple[str, str]] = set()
        newest: dict[str, int] = {}
        assert [event.id for event in self.tail] == list(range(1, len(self.tail) + 1))
        for event in self.tail:
            if event.type != "seat":
                assert event.prev == newest.get(event.room, 0)
                newest[event.room] = event.id
            for by, room, _, begins in event.seats:
                (inside.add if begins else inside.discard)((by, room))
                if room in PRIVATE and not any(other == room for _, other in inside):
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


@pytest.mark.parametrize("engine", ["memory", "sqlite", "redis"])
@given(operations=st.lists(OPERATIONS, min_size=20, max_size=40))
@settings(
    max_examples=30,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_store_is_as_the_model(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine: str,
    operations: list[Any],
) -> None:
    clock = Clock()
    if engine == "redis":
        url = request.getfixturevalue("redis_url")
        request.getfixturevalue("redis_client").flushall()
    elif engine == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('model')}/chat.db"
    else:
        url = "memory:"
    play = Play(lambda: open_store(url, Policy(), clock), clock, restarts=engine != "memory")
    try:
        for operation in (*BEGINNING, *operations):
            play.do(*operation)
        play.check()
    finally:
        play.store.close()
