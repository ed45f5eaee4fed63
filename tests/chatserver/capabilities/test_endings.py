"""That what a `Room`, a `Moderator` and an `Admin` give ends when it must: kept, on its way, or
passed on."""

from itertools import count
from typing import Any

import pytest

from capnweb_sync import RpcTarget
from capnweb_sync.testing import pair
from tests.chatserver.conftest import LogIn
from tests.chatserver.guests import Guest, account, refusal

_rooms = count(1)


@pytest.fixture
def room() -> str:
    """A name that no other test uses."""
    return f"ending{next(_rooms)}"


@pytest.fixture
def mod(log_in: LogIn, name: str) -> Guest:
    return log_in(**account(f"{name} Mod", role="moderator"))


@pytest.fixture
def boss(log_in: LogIn, name: str) -> Guest:
    return log_in(**account(f"{name} Boss", role="admin"))


@pytest.fixture
def bob(log_in: LogIn, name: str) -> Guest:
    return log_in(f"{name} Bob")


def mine_only(room: Any, message: int) -> list[Any]:
    """All calls of a room."""
    return [
        *(room.info, room.history(), room.events(), room.people(), room.say("x"), room.typing()),
        *(room.edit(message, "x"), room.remove(message), room.react(message, "👍")),
        *(room.read(message), room.setTopic("x"), room.createPass(), room.revokePasses()),
        *(room.handOn("x"), room.close(), room.share().say("x"), room.leave()),
    ]


def powers(moderator: Any, admin: Any) -> list[Any]:
    """All calls of a moderator and of an admin."""
    return [
        *(moderator.remove(1), moderator.mute("x"), moderator.kick("x"), moderator.ban("x")),
        *(moderator.lift(1), moderator.sanctions(), admin.people(), admin.connections()),
        *(admin.rooms(), admin.statistics(), admin.export("lobby"), admin.announce("x")),
        *(admin.disconnect("x"), admin.ban({"name": "x"}), admin.ban({"address": "203.0.113.1"})),
        *(admin.revoke("x"), admin.erase("x"), admin.closeRoom("lobby"), admin.sanctions()),
        admin.lift(1),
    ]


def test_a_kept_room_ends_with_its_seat_and_all_of_it_with_the_stay(
    boss: Guest, log_in: LogIn, room: str, name: str
) -> None:
    ann = log_in(**account(f"{name} A", role="admin"))
    there = ann.person.open({"title": "Ours"}).result()
    shared = there.share().result()
    message = there.say("mine").result()["id"]
    moderator = ann.person.moderate(there.info.result()["name"]).result()
    admin = ann.person.administer().result()
    boss.person.administer().closeRoom(there.info.result()["name"]).result()

    assert {refusal(call) for call in mine_only(there, message)} == {"not_joined"}
    assert refusal(shared.say("x")) == refusal(shared.history()) == "not_joined"
    assert refusal(moderator.mute("x")) == "no_such_room"
    here = ann.enter(room)
    moderator = ann.person.moderate(room).result()
    ann.person.logout().result()
    calls = [*mine_only(here, message), *powers(moderator, admin)]
    calls += [ann.person.me, ann.person.rooms(), ann.person.enter(room)]
    assert {refusal(call) for call in calls} == {"not_joined"}


def test_what_was_called_before_it_ended_is_refused_if_it_comes_after(
    mod: Guest, bob: Guest, room: str
) -> None:
    there = bob.enter(room)
    mod.person.moderate(room).kick(bob.me["name"]).result()

    # One frame: the room of before, a new one by a promise, and what hangs on it.
    entered = bob.person.enter(room)
    calls = [there.say("x"), entered.say("y"), entered.leave(), entered.say("z")]

    assert [refused(call) for call in calls] == ["not_joined", None, None, "not_joined"]


def refused(promise: Any) -> str | None:
    try:
        return refusal(promise)
    except AssertionError:
        return None


class Holder(RpcTarget):
    """A program of somebody's own that is handed what it has of the chat."""

    def take(self, given: Any) -> None:
        self._kept = given.dup()

    def use(self, method: str, *arguments: Any) -> Any:
        return getattr(self._kept, method)(*arguments)


@pytest.mark.parametrize("what", ["room", "moderator", "admin"])
def test_what_was_passed_to_another_session_ends_with_the_permission(
    boss: Guest, log_in: LogIn, room: str, name: str, what: str
) -> None:
    ann = log_in(**account(f"{name} A", role="moderator" if what == "room" else "admin"))
    there = ann.enter(room)
    given: Any
    call: tuple[str, ...]
    if what == "room":
        given, call = there, ("say", "hello")
    elif what == "moderator":
        given, call = ann.person.moderate(room).result(), ("sanctions",)
    else:
        given, call = ann.person.administer().result(), ("statistics",)
    with pair(Holder()) as both:
        program = both.client.main
        program.take(given).result()
        assert program.use(*call).result() is not None

        if what == "room":
            boss.person.moderate(room).kick(f"{name} A").result()
            assert refusal(program.use(*call)) == "not_joined"
        else:
            ann.person.renew(account(f"{name} A")["token"]).result()
            assert refusal(program.use(*call)) == "forbidden"
            ann.person.logout().result()
            assert refusal(program.use(*call)) == "not_joined"
