"""Moderators and admins, on the wire: what is told, what is checked, and that all of it ends."""

import json
import math
from itertools import count

import pytest

from tests.chatserver.conftest import LogIn
from tests.chatserver.guests import Guest, account, refusal
from tests.processes import wait_until

_rooms = count(1)


@pytest.fixture
def room() -> str:
    """A name that no other test uses."""
    return f"moderated{next(_rooms)}"


@pytest.fixture
def mod(log_in: LogIn, name: str) -> Guest:
    return log_in(**account(f"{name} Mod", role="moderator"))


@pytest.fixture
def boss(log_in: LogIn, name: str) -> Guest:
    return log_in(**account(f"{name} Boss", role="admin"))


@pytest.fixture
def ann(log_in: LogIn, name: str) -> Guest:
    return log_in(**account(f"{name} Ann"))


@pytest.fixture
def bob(log_in: LogIn, name: str) -> Guest:
    return log_in(f"{name} Bob")


# --- what is told


def test_who_is_muted_learns_for_how_long_and_why_and_so_does_the_room(
    mod: Guest, ann: Guest, bob: Guest, room: str
) -> None:
    there = bob.enter(room)
    ann.enter(room)
    moderator = mod.person.moderate(room)

    sanction = moderator.mute(bob.me["name"].upper(), 600, " no\tspam ").result()

    notice = f"{mod.me['name']} muted {bob.me['name']} for 10 minutes: no spam"
    told = ann.wait_for(notice)
    assert (told["type"], told["user"], told["room"]) == ("notice", mod.me["name"], room)
    assert bob.wait_for(notice) == told
    with pytest.raises(Exception, match=r"^You are muted here for 10 minutes yet: no spam$"):
        there.say("hello").result()
    (shown,) = moderator.sanctions().result()
    assert (shown["until"] - shown["time"]).total_seconds() == 600
    assert {key: shown[key] for key in ("id", "kind", "name", "by", "reason")} == {
        "id": sanction, "kind": "mute", "name": bob.me["name"], "by": mod.me["name"],
        "reason": "no spam",
    }  # fmt: skip
    assert shown.keys() == {"id", "kind", "name", "by", "reason", "time", "until"}
    moderator.lift(sanction).result()
    assert there.say("thanks").result()
    assert bob.wait_for(f"{mod.me['name']} lifted the mute of {bob.me['name']}")
    assert refusal(moderator.lift(sanction)) == "bad_request"


def test_the_last_that_one_hears_is_why_one_is_sent_out(
    mod: Guest, ann: Guest, bob: Guest, room: str
) -> None:
    here, there = ann.enter(room), bob.enter(room)
    moderator = mod.person.moderate(room)

    moderator.kick(bob.me["name"], "enough").result()

    assert refusal(there.say("x")) == refusal(there.history()) == "not_joined"
    here.say("without Bob").result()
    ann.wait_for("without Bob")
    again = bob.enter(room)
    again.say("back").result()
    bob.wait_for("back")
    notice = f"{mod.me['name']} sent {bob.me['name']} out: enough"
    heard = [event["text"] for event in bob.heard_in(room, "notice", "chat")]
    assert heard == [notice, "back"]
    assert refusal(there.say("x")) == "not_joined", "the seat of before"
    banned = moderator.ban(bob.me["name"]).result()
    with pytest.raises(Exception, match=r"^You are banned from here for good$"):
        bob.enter(room)
    moderator.lift(banned).result()
    assert bob.enter(room).say("back").result()


def test_a_message_that_a_moderator_removes_is_gone_and_the_reason_told(
    mod: Guest, bob: Guest, room: str
) -> None:
    there = bob.enter(room)
    message = there.say("rubbish").result()["id"]

    removed = mod.person.moderate(room).remove(message, "rude").result()

    told = bob.wait_for_type("remove")
    assert (told["id"], told["time"]) == (removed["id"], removed["time"])
    assert (told["target"], told["text"], told["user"]) == (message, "rude", mod.me["name"])
    assert "text" not in there.history().result()[0]
    moderator = mod.person.moderate(room)
    assert refusal(moderator.remove(message)) == "no_such_message"
    assert refusal(moderator.remove(10**12)) == refusal(moderator.remove(-1)) == "no_such_message"


def test_who_is_disconnected_or_banned_is_told_why_by_its_connections_end(
    boss: Guest, log_in: LogIn, name: str
) -> None:
    admin = boss.person.administer()
    bob = log_in(f"{name} B")
    ann, other = log_in(**account(f"{name} A")), log_in(**account(f"{name} A"))
    assert all((bob.me, ann.me, other.me))

    assert admin.disconnect(f"{name} B", "pause").result() == 1
    sanction = admin.ban({"name": f"{name} A"}, 3600, "spam").result()

    assert bob.closed() == (4004, "You were disconnected: pause.")
    assert ann.closed() == other.closed() == (4004, "You were banned for 1 hour: spam.")
    assert log_in(f"{name} B").me["name"] == f"{name} B"
    again = log_in(**account(f"{name} A"))
    with pytest.raises(Exception, match=r"^You are banned from here for 1 hour yet: spam$"):
        again.me  # noqa: B018
    admin.lift(sanction).result()
    assert log_in(**account(f"{name} A")).me["account"]


def test_erasing_an_account_takes_what_it_said_and_it(
    boss: Guest, ann: Guest, bob: Guest, room: str, name: str
) -> None:
    mine, there = ann.enter(room), bob.enter(room)
    for number in range(3):
        mine.say(f"mine {number}").result()
    there.say("bob's").result()
    admin = boss.person.administer()

    admin.erase(ann.me["name"]).result()

    assert ann.closed() == (4004, "Your account was erased.")
    assert [message.get("text") for message in there.history().result()] == [None] * 3 + ["bob's"]
    people = {person["name"] for person in admin.people({"limit": 500}).result()}
    assert bob.me["name"] in people
    assert f"{name} Ann" not in people


# --- lists


def test_admins_see_who_is_there_and_what(
    boss: Guest, ann: Guest, bob: Guest, log_in: LogIn, room: str, name: str
) -> None:
    ann.enter(room)
    hidden = bob.person.open({"title": "Hidden"}).result()
    hidden_name = hidden.info.result()["name"]
    direct = ann.person.direct(bob.me["name"]).result().info.result()["name"]
    admin = boss.person.administer().result()
    waiting = log_in(f"{name} Zoe")
    waiting.me  # noqa: B018
    waiting.lose()

    people = {one["name"]: one for one in admin.people({"limit": 500}).result()}
    rooms = {one["name"]: one for one in admin.rooms({"limit": 500}).result()}

    assert people[ann.me["name"]] == {
        "name": ann.me["name"], "role": "member", "online": True, "rooms": 2
    }  # fmt: skip
    assert people[bob.me["name"]]["role"] is None
    assert rooms[room]["people"] == 1
    assert rooms[hidden_name]["title"] == "Hidden"
    assert rooms[hidden_name]["inside"] is False
    assert direct not in rooms
    assert refusal(admin.export(direct)) == refusal(admin.closeRoom(direct)) == "no_such_room"
    part = admin.people({"after": f"{name} A", "limit": 2}).result()
    assert [one["name"] for one in part] == [f"{name} Ann", f"{name} Bob"]

    def connected() -> dict[str, bool]:
        found = admin.connections({"after": name, "limit": 500}).result()
        return {one["name"]: one["connected"] for one in found}

    wait_until(lambda: connected()[f"{name} Zoe"] is False)
    assert connected()[ann.me["name"]] is True
    figures = admin.statistics().result()
    assert figures.keys() == {
        *("accounts", "online", "places", "rooms", "messages", "events", "sanctions")
    }


def test_sanctions_come_in_parts(mod: Guest, log_in: LogIn, room: str, name: str) -> None:
    mod.enter(room)
    moderator = mod.person.moderate(room).result()
    guests = [log_in(f"{name} {number}") for number in range(3)]
    made = [moderator.mute(guest.me["name"]).result() for guest in guests]

    first = moderator.sanctions({"limit": 2}).result()
    rest = moderator.sanctions({"after": first[-1]["id"]}).result()

    assert [one["id"] for one in first + rest] == made
    assert {one["until"] for one in first} == {None}


def test_what_happened_in_a_room_is_exported_as_it_stands(
    boss: Guest, ann: Guest, bob: Guest, room: str
) -> None:
    here = ann.enter(room)
    first = here.say("schön").result()["id"]
    here.say("wrong").result()
    here.remove(first + 1).result()
    mine = ann.person.open({"title": "Ours"}).result()
    mine.say("ours").result()
    admin = boss.person.administer()

    text = "".join(admin.export(room).result())
    ours = "".join(admin.export(mine.info.result()["name"]).result())

    lines = [json.loads(line) for line in text.splitlines()]
    assert text.endswith("\n")
    assert "schön" in text
    assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)
    chats = [line for line in lines if line["type"] == "chat"]
    assert [line.get("text") for line in chats] == ["schön", None]
    assert chats[0]["time"].endswith("+00:00")
    assert '"ours"' in ours
    assert refusal(admin.export("nowhere")) == "no_such_room"


# --- what is checked


def test_arguments_are_checked(mod: Guest, boss: Guest, ann: Guest, room: str) -> None:
    ann.enter(room)
    moderator, admin = mod.person.moderate(room).result(), boss.person.administer().result()
    name = ann.me["name"]

    for seconds in (0, -1, math.nan, math.inf, 10 * 365 * 24 * 3600 + 1, "60", True):
        assert refusal(moderator.mute(name, seconds)) == "bad_request"
        assert refusal(moderator.ban(name, seconds)) == "bad_request"
        assert refusal(admin.ban({"name": name}, seconds)) == "bad_request"
    for call in (moderator.mute, moderator.ban):
        assert refusal(call(name, 60, "x" * 201)) == "too_large"
    assert refusal(moderator.kick(name, "x" * 201)) == "too_large"
    for nobody in ("", "x" * 33, "Nobody There", "\ud800"):
        assert refusal(moderator.mute(nobody)) == "bad_request"
        assert refusal(moderator.kick(nobody)) == "bad_request"
        assert refusal(admin.disconnect(nobody)) == "bad_request"
        assert refusal(admin.revoke(nobody)) == "bad_request"
    for whom in ({}, {"name": name, "address": "203.0.113.9"}, {"address": "nowhere"}, None):
        assert refusal(admin.ban(whom)) == "bad_request"
    assert refusal(admin.ban({"address": "127.0.0.1"})) == "bad_request", "is without limits"
    for sanction in (0, -1, 10**15, 2**70):
        assert refusal(moderator.lift(sanction)) == "bad_request"
    assert refusal(admin.announce(" ")) == "bad_request"
    assert refusal(admin.export("no room")) == "bad_request"
