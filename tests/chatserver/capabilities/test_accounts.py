"""Accounts, on the wire: places, names, what stays of one who was away, roles, announcements."""

from collections.abc import Callable
from typing import Any

import pytest

from capnweb_sync import RemoteError, connect
from chatserver.people.token_terms import Role
from chatserver.tokens import issue
from tests.chatserver.conftest import LogIn
from tests.chatserver.guests import SECRET, Ear, Guest, account, refusal
from tests.conftest import StartServer
from tests.processes import ServerProcess, wait_until

Come = Callable[..., Guest]


@pytest.fixture
def come(log_in: LogIn) -> Come:
    """Log an account in."""
    return lambda name, **terms: log_in(**account(name, **terms))


@pytest.fixture
def room(name: str) -> str:
    """A room of this test."""
    return f"of.{name.split()[1]}"


def refused(promise: Any, code: str = "unauthorized") -> bool:
    """Whether a call gets this error, which it does not for long."""
    try:
        promise.result()
    except RemoteError as error:
        if error.code != code:
            raise
        return True
    return False


# --- places


def test_an_account_is_one_person_in_all_of_its_places(
    come: Come, log_in: LogIn, name: str, room: str
) -> None:
    here, there, bob = come(name), come(name), log_in(f"{name} B")
    mine = here.enter(room)
    bobs = bob.enter(room)

    said = mine.say("hello", {"key": "k"}).result()

    assert here.me["resume"] != there.me["resume"]
    assert there.enter(room).say("hello", {"key": "k"}).result() == said
    for place in (here, there, bob):
        assert place.wait_for("hello")["id"] == said["id"]
    assert [person["name"] for person in bobs.people().result()] == [name, f"{name} B"]
    there.person.logout().result()
    assert bobs.people().result()[0]["online"] is True
    assert mine.say("still here").result()


def test_leaving_a_room_is_leaving_it_with_all_places(come: Come, name: str, room: str) -> None:
    here, there = come(name), come(name)
    mine = here.enter(room)
    theirs = there.enter(room)

    mine.leave().result()

    assert refusal(theirs.say("hello")) == "not_joined"
    assert (here.me["rooms"], there.me["rooms"]) == ([], [])


def test_one_connection_has_one_place_of_an_account(
    come: Come, each_server: ServerProcess, name: str
) -> None:
    admin = come(f"{name} admin", role="admin").person.administer()
    token = issue(name, SECRET)
    heard: list[list[dict[str, Any]]] = [[], [], []]
    with connect(each_server.url) as session:
        chat = session.main
        first, second = (chat.login(Ear(heard[n]), {"token": token}) for n in (0, 1))
        third = chat.join(name, Ear(heard[2]), {"token": token})

        assert third.result()["username"] == name
        assert refusal(first.me) == refusal(second.me) == "not_joined"
        assert len([one for one in admin.connections().result() if one["name"] == name]) == 1
        chat.sendMessage(name, "hello").result()
        wait_until(lambda: [event["text"] for event in heard[2][-1:]] == ["hello"])
        assert heard[:2] == [[], []]


def test_a_place_is_taken_over_with_its_secret_and_a_good_token(
    come: Come, log_in: LogIn, name: str
) -> None:
    old, other = come(name), come(name)
    secret = old.me["resume"]
    assert refusal(log_in(name, resume=secret).person) == "username_taken"
    over = issue(name, SECRET, days=-1)
    assert refusal(log_in(None, token=over, resume=secret).person) == "unauthorized"

    new = log_in(**account(name), resume=secret)

    assert new.me["resume"] == secret
    assert old.closed()[0] == 4001
    assert other.me["name"] == name


def test_of_ten_places_one_that_is_lost_makes_room(come: Come, name: str) -> None:
    places = [come(name) for _ in range(10)]
    assert len({place.me["resume"] for place in places}) == 10
    assert refusal(come(name).person) == "too_many"

    places[3].lose()

    wait_until(lambda: not refused(come(name).person.me, "too_many"))


# --- names


def test_a_guest_makes_room_for_an_account_of_its_name(
    come: Come, log_in: LogIn, name: str
) -> None:
    guest = log_in(name)
    assert guest.me["account"] is False

    mine = come(name.upper())

    assert guest.closed() == (4002, f"An account has the name {name}.")
    mine.person.logout().result()
    assert refusal(log_in(name).person) == "username_taken"
    assert refusal(come(name).person) == "unauthorized", "another sub of the same name"
    assert come(name.upper()).me["name"] == name.upper()


# --- what stays


def test_rooms_and_what_is_read_stay_while_an_account_is_away(
    come: Come, log_in: LogIn, name: str, room: str
) -> None:
    ann, bob = come(name), log_in(f"{name} B")
    ann.enter(room)
    there = bob.enter(room)
    there.say("one").result()
    last = ann.wait_for("one")["id"]
    before = ann.me
    ann.person.logout().result()
    assert there.people().result()[0] == {"name": name, "online": False, "role": "member"}
    there.say("two").result()

    back = log_in(**account(name, role="moderator"), since=last, epoch=before["epoch"])

    assert back.wait_for("two")
    assert (back.me["recovered"], back.me["role"]) == (True, "moderator")
    (inside,) = back.me["rooms"]
    assert (inside["name"], inside["unread"]) == (room, 2)
    assert there.people().result()[0] == {"name": name, "online": True, "role": "moderator"}


def test_who_comes_online_and_goes_is_told_in_its_rooms(
    come: Come, log_in: LogIn, name: str, room: str
) -> None:
    ann, bob = come(name), log_in(f"{name} B")
    ann.enter(room)
    bob.enter(room)

    def presence() -> list[tuple[str, bool]]:
        return [(event["user"], event["online"]) for event in bob.heard_in(room, "presence")]

    ann.person.logout().result()
    wait_until(lambda: presence() == [(name, False)])
    come(name)
    wait_until(lambda: presence() == [(name, False), (name, True)])


def test_a_place_whose_token_is_for_certain_rooms_hears_of_no_others(
    come: Come, log_in: LogIn, name: str, room: str
) -> None:
    ann = come(name)
    ann.enter(room)
    ann.enter(f"{room}.other")
    bound = log_in(**account(name, rooms=[room]))

    ann.person.enter(f"{room}.other").say("elsewhere").result()
    ann.person.enter(room).say("here").result()

    bound.wait_for("here")
    assert {event["room"] for event in bound.events} == {room}
    assert [inside["name"] for inside in bound.me["rooms"]] == [room]
    assert refusal(bound.person.moderate(f"{room}.other")) == "no_such_room"


# --- tokens


def test_a_lesser_role_ends_what_one_could_do_by_the_one_before(
    come: Come, name: str, room: str
) -> None:
    ann = come(name, role="admin")
    here = ann.enter(room)
    moderator = ann.person.moderate(room).result()
    admin = ann.person.administer().result()
    message = here.say("hello").result()["id"]

    ann.person.renew(issue(name, SECRET)).result()

    calls = [
        *(moderator.remove(message), moderator.mute("x"), moderator.kick("x"), moderator.ban("x")),
        *(moderator.lift(1), moderator.sanctions(), admin.people(), admin.connections()),
        *(admin.rooms(), admin.disconnect("x"), admin.ban({"name": "x"}), admin.lift(1)),
        *(admin.ban({"address": "203.0.113.1"}), admin.sanctions(), admin.revoke("x")),
        *(admin.announce("x"), admin.closeRoom(room), admin.export(room), admin.erase("x")),
        *(admin.statistics(), ann.person.moderate(room), ann.person.administer()),
        here.setTopic("x"),
    ]
    assert {refusal(call) for call in calls} == {"forbidden"}
    assert ann.me["role"] == "member"
    assert here.say("still here").result()


def test_no_token_of_before_is_good_once_they_are_revoked(
    come: Come, log_in: LogIn, name: str
) -> None:
    admin = come(f"{name} admin", role="admin").person.administer()
    before = account(name)
    ann, other = log_in(**before), log_in(**before)
    assert (ann.me["name"], other.me["name"]) == (name, name)

    assert admin.revoke(name).result() == 2

    assert ann.closed() == other.closed() == (4003, "Your tokens were revoked.")
    assert refusal(log_in(**before).person) == "unauthorized"
    # One that is signed after this second is good.
    wait_until(lambda: not refused(come(name).person.me))
    assert refusal(log_in(**before).person) == "unauthorized"


# --- announcements


def test_an_announcement_reaches_everyone_who_has_logged_in_also_later(
    come: Come, log_in: LogIn, each_server: ServerProcess, name: str
) -> None:
    admin = come(f"{name} admin", role="admin").person.administer()
    ann, guest = come(name), log_in(f"{name} guest")
    before = ann.me
    text = f"The server restarts, {name}"
    old: list[dict[str, Any]] = []
    with connect(each_server.url) as session:
        session.main.join(f"{name} old", Ear(old)).result()

        said = admin.announce(text).result()

        told = ann.wait_for(text)
        assert guest.wait_for(text) == told
        assert (told["id"], told["time"]) == (said["id"], said["time"])
        assert (told["room"], told["prev"], told["type"]) == ("*", 0, "notice")
        assert told["user"] == f"{name} admin"
        session.main.sendMessage(f"{name} old", "hello").result()
        wait_until(lambda: old)
        assert text not in [event["text"] for event in old]
    ann.person.logout().result()
    back = log_in(**account(name), since=before["lastId"], epoch=before["epoch"])
    assert back.wait_for(text) == told
    assert (back.me["recovered"], back.me["rooms"]) == (True, [])
    assert refusal(back.person.enter("*")) == refusal(back.person.moderate("*")) == "bad_request"


# --- making rooms


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ("everyone", {"guest", "member", "moderator", "admin"}),
        ("accounts", {"member", "moderator", "admin"}),
        ("moderators", {"moderator", "admin"}),
    ],
)
def test_who_may_make_rooms(start_server: StartServer, who: str, may: set[str]) -> None:
    server = start_server("--open-rooms", who, env={"CHAT_SECRET": SECRET})
    roles: tuple[Role, ...] = ("admin", "moderator", "member")
    people: dict[str, Guest] = {
        role: Guest(server.url, **account(role, role=role)) for role in roles
    }
    people["guest"] = Guest(server.url, "Guest")
    for role, one in people.items():
        made = [one.person.enter(f"of.{role}"), one.person.open({"title": "Mine"})]
        if role in may:
            assert [room.info.result()["people"] for room in made] == [1, 1]
        else:
            assert {refusal(room) for room in made} == {"forbidden"}
        assert one.enter("of.admin").say("hello").result(), "rooms that are there are for all"
        assert refusal(one.person.enter("+" + 32 * "0")) == "no_such_room"
        assert refusal(one.person.enter("two words")) == "bad_request"
    for one in people.values():
        one.close()
