"""People and rooms, over real connections, on each engine."""

from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from capnweb_sync.client.batch import batch
from tests.chatserver.conftest import Connect, LogIn
from tests.chatserver.guests import Guest, refusal
from tests.conftest import StartServer
from tests.processes import ServerProcess, wait_until

_rooms = count(1)


@pytest.fixture
def ann(log_in: LogIn, name: str) -> Guest:
    return log_in(f"{name} Ann")


@pytest.fixture
def bob(log_in: LogIn, name: str) -> Guest:
    return log_in(f"{name} Bob")


@pytest.fixture
def room() -> str:
    """A name that no other test uses."""
    return f"room{next(_rooms)}"


def texts(events: list[dict[str, Any]]) -> list[str | None]:
    return [event.get("text") for event in events]


# --- logging in


def test_logging_in_says_who_one_is_and_seats_nobody(ann: Guest, name: str) -> None:
    me = ann.me

    assert me.keys() == {
        *("name", "account", "role", "resume", "epoch", "lastId", "recovered", "rooms")
    }
    assert (me["name"], me["account"], me["role"], me["rooms"]) == (f"{name} Ann", False, None, [])
    assert me["name"] not in ann.session.main.listUsers().result()


def test_about_says_what_the_lobby_is_called_and_entering_it_is_joining(
    ann: Guest, bob: Guest
) -> None:
    about = ann.session.main.about.result()
    bob.enter(about["lobby"])

    ann.enter(about["lobby"])

    assert about.keys() == {"name", "version", "guests", "lobby"}
    assert about["guests"] is True
    assert ann.me["name"] in ann.session.main.listUsers().result()
    wait_until(lambda: any(ann.me["name"] in e["users"] for e in bob.heard_in("lobby", "join")))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "bad_request"),
        ({"name": "x" * 33}, "bad_request"),
        ({"name": 5}, "bad_request"),
        ({"name": "Ann", "token": "x.y.z"}, "bad_request"),
        ({"token": "x.y.z"}, "unauthorized"),
    ],
)
def test_who_cannot_log_in_is_told_why(ann: Guest, options: dict[str, Any], code: str) -> None:
    assert refusal(ann.session.main.login(None, options)) == code


def test_a_name_is_held_by_who_logged_in_until_it_logs_out(
    ann: Guest, log_in: LogIn, name: str
) -> None:
    held = ann.me["name"]
    assert refusal(log_in(held).person) == "username_taken"

    assert ann.person.logout().result() == {"message": f"Goodbye, {held}!"}

    assert log_in(held).me["name"] == held


def test_what_only_others_may_do_is_refused(ann: Guest, room: str) -> None:
    ann.enter(room)

    assert refusal(ann.person.moderate(room)) == "forbidden"
    assert refusal(ann.person.administer()) == "forbidden"
    assert refusal(ann.person.renew("x.y.z")) == "unauthorized"


def test_all_of_it_works_in_one_http_batch(
    each_server: ServerProcess, ann: Guest, name: str, room: str
) -> None:
    ann.enter(room)

    with batch(f"{each_server.http_url}/rpc/batch") as chat:
        inside = chat.login(None, {"name": f"{name} job"}).enter(room)
        said = inside.say("the backup is done")

    assert ann.wait_for("the backup is done")["id"] == said.result()["id"]
    assert [person["name"] for person in ann.person.enter(room).people().result()] == [
        ann.me["name"]
    ]


# --- in a room


def test_what_is_said_in_a_room_is_heard_there_and_nowhere_else(
    ann: Guest, bob: Guest, log_in: LogIn, name: str, room: str
) -> None:
    carol = log_in(f"{name} Carol")
    carol.enter(f"{room}.other")
    ann.enter(room)
    there = bob.enter(room)

    said = there.say("hello", {"key": "k"}).result()
    again = there.say("hello", {"key": "k"}).result()
    there.say("bye").result()

    assert again == said
    for guest in (ann, bob):
        event = guest.wait_for("hello")
        assert (event["id"], event["time"]) == (said["id"], said["time"])
        assert (event["room"], event["user"]) == (room, bob.me["name"])
        guest.wait_for("bye")
        chain = guest.heard_in(room)
        assert all(later["prev"] == earlier["id"] for earlier, later in pairwise(chain))
        assert len(guest.heard_in(room, "chat")) == 2
    assert carol.heard_in(room) == []


def test_who_comes_and_goes_is_told_to_those_inside_itself_included(
    ann: Guest, bob: Guest, room: str
) -> None:
    ann.enter(room)
    there = bob.enter(room)
    wait_until(lambda: bob.heard_in(room, "join"))

    there.leave().result()

    wait_until(lambda: ann.heard_in(room, "leave"))
    (join, leave) = (ann.heard_in(room, kind)[-1] for kind in ("join", "leave"))
    assert join["text"] == f"{bob.me['name']} joined {room}"
    assert leave["text"] == f"{bob.me['name']} left {room}"
    assert (leave["users"], leave["count"]) == ([bob.me["name"]], 1)
    assert ann.heard_in(room, "join")[0]["users"] == [ann.me["name"]]


def test_a_room_that_was_left_is_over_for_who_held_it(ann: Guest, bob: Guest, room: str) -> None:
    ann.enter(room)
    there = bob.enter(room)
    shared = there.share().result()
    there.leave().result()
    ann.person.enter(room).say("alone again").result()
    ann.wait_for("alone again")

    calls: dict[str, Callable[[], Any]] = {
        "say": lambda: there.say("hello?"),
        "history": lambda: there.history(),
        "events": lambda: there.events({"after": 0}),
        "people": lambda: there.people(),
        "info": lambda: there.info,
        "typing": lambda: there.typing(),
        "read": lambda: there.read(1),
        "leave": lambda: there.leave(),
        "shared": lambda: shared.say("hello?"),
    }

    assert {name: refusal(call()) for name, call in calls.items()} == dict.fromkeys(
        calls, "not_joined"
    )
    assert "alone again" not in texts(bob.events)
    # Another seat is another room to hold.
    back = bob.enter(room)
    assert refusal(there.say("hello?")) == "not_joined"
    assert back.say("here I am").result()


def test_a_room_is_over_with_the_stay(ann: Guest, bob: Guest, room: str) -> None:
    ann.enter(room)
    there = bob.enter(room)
    wait_until(lambda: bob.heard_in(room, "join"))  # Who leaves earlier is not told of.

    bob.person.logout().result()

    assert refusal(there.say("hello?")) == "not_joined"
    assert refusal(there.history()) == "not_joined"
    assert refusal(bob.person.enter(room)) == "not_joined"
    wait_until(lambda: ann.heard_in(room, "leave"))


def test_a_message_is_edited_answered_and_removed(ann: Guest, bob: Guest, room: str) -> None:
    here, there = ann.enter(room), bob.enter(room)
    first = here.say("helo").result()["id"]
    second = there.say("hi", {"replyTo": first}).result()["id"]

    edit = here.edit(first, "hello").result()["id"]

    assert bob.wait_for("hi")["replyTo"] == first
    edited = bob.wait_for("hello")
    assert (edited["id"], edited["type"], edited["target"]) == (edit, "edit", first)
    (message, answer) = there.history().result()
    assert (message["id"], message["text"], message["edited"]) == (first, "hello", edited["time"])
    assert (answer["id"], answer["replyTo"]) == (second, first)
    assert refusal(there.edit(first, "mine")) == "forbidden"
    assert refusal(there.remove(first)) == "forbidden"

    here.remove(first).result()

    wait_until(lambda: bob.heard_in(room, "remove"))
    assert bob.heard_in(room, "remove")[0]["target"] == first
    message = there.history().result()[0]
    assert (message["removed"], "text" in message) == (True, False)
    assert refusal(here.edit(first, "again")) == "no_such_message"
    assert not {"helo", "hello"} & set(texts(there.events({"after": 0}).result()))


def test_reactions_are_told_as_they_stand(ann: Guest, bob: Guest, room: str) -> None:
    here, there = ann.enter(room), bob.enter(room)
    message = here.say("cake").result()["id"]

    there.react(message, "👍").result()
    here.react(message, "👍").result()

    both = {"👍": {"count": 2, "users": [bob.me["name"], ann.me["name"]]}}
    wait_until(lambda: any(e["reactions"] == both for e in ann.heard_in(room, "react")))
    there.react(message, "👍", False).result()
    one = {"👍": {"count": 1, "users": [ann.me["name"]]}}
    wait_until(lambda: ann.heard_in(room, "react")[-1]["reactions"] == one)
    assert ann.heard_in(room, "react")[-1]["target"] == message
    assert here.history().result()[0]["reactions"] == one


@pytest.mark.parametrize("emoji", ["", "x", "👍👍", "+1", "🇩", "👍" + "🏽" * 40])
def test_a_reaction_is_one_emoji(ann: Guest, room: str, emoji: str) -> None:
    here = ann.enter(room)
    message = here.say("cake").result()["id"]

    assert refusal(here.react(message, emoji)) == "bad_request"
    for fine in ("👍🏽", "❤️", "👩‍👩‍👧", "🇩🇪", "1️⃣"):
        here.react(message, fine).result()


def test_typing_is_told_once_in_a_while_and_kept_nowhere(ann: Guest, bob: Guest, room: str) -> None:
    ann.enter(room)
    there = bob.enter(room)

    for _ in range(5):
        there.typing().result()
    there.say("done").result()

    ann.wait_for("done")
    wait_until(lambda: ann.heard_in(room, "typing"))
    (event,) = ann.heard_in(room, "typing")
    assert event.keys() == {"room", "type", "user", "by"}
    assert event["user"] == bob.me["name"]
    assert event["by"] == ann.wait_for("done")["by"]
    kinds = {event["type"] for event in there.events({"after": 0}).result()}
    assert kinds == {"join", "chat"}


def test_what_is_above_the_mark_is_unread(ann: Guest, bob: Guest, room: str) -> None:
    here, there = ann.enter(room), bob.enter(room)
    ids = [here.say(f"{n}").result()["id"] for n in range(3)]
    assert there.info.result()["unread"] == 3

    there.read(ids[1]).result()

    assert there.info.result()["unread"] == 1
    assert here.info.result()["unread"] == 0


def test_history_and_events_come_in_parts(ann: Guest, room: str) -> None:
    here = ann.enter(room)
    ids = [here.say(f"{n}").result()["id"] for n in range(5)]

    def seen(events: list[dict[str, Any]]) -> list[int]:
        return [event["id"] for event in events]

    assert seen(here.history({"limit": 2}).result()) == ids[3:]
    assert seen(here.history({"before": ids[3], "limit": 2}).result()) == ids[1:3]
    assert seen(here.history({"after": ids[0], "limit": 2}).result()) == ids[1:3]
    assert seen(here.events({"after": ids[0], "before": ids[3]}).result()) == ids[1:3]


def test_lists_of_people_and_rooms_come_in_parts(ann: Guest, bob: Guest, room: str) -> None:
    here = ann.enter(room)
    bob.enter(room)
    everyone = here.people().result()

    first = here.people({"limit": 1}).result()
    rest = here.people({"after": first[0]["name"]}).result()

    assert first + rest == everyone
    assert [(p["name"], p["online"], p["role"]) for p in everyone] == [
        (guest.me["name"], True, "member") for guest in (ann, bob)
    ]
    (found,) = ann.person.rooms({"after": room[:-1], "limit": 1}).result()
    assert found["name"] >= room[:-1]


@pytest.mark.parametrize("typed", ["Gardening{}", "  GARDENING{} ", "Ｇardening{}"])
def test_a_public_room_is_one_word_without_case(
    ann: Guest, bob: Guest, room: str, typed: str
) -> None:
    ann.enter(f"gardening{room}")

    assert bob.enter(typed.format(room)).info.result()["name"] == f"gardening{room}"


@pytest.mark.parametrize("name", ["", "two words", "x" * 33, "*", "\x1b[2J", "System"])
def test_what_no_room_can_be_called_is_a_bad_request(ann: Guest, name: str) -> None:
    assert refusal(ann.person.enter(name)) == "bad_request"


# --- private rooms and conversations


def test_a_private_room_is_entered_with_a_pass_and_hides_what_was_before(
    ann: Guest, bob: Guest, log_in: LogIn, name: str
) -> None:
    carol = log_in(f"{name} Carol")
    here = ann.person.open({"title": "Secret\n garden", "topic": "roses"}).result()
    here.say("before").result()
    given = here.createPass({"uses": 1}).result()

    there = bob.person.accept(given).result()

    assert refusal(carol.person.accept(given)) == "no_such_room"
    info = there.info.result()
    assert (info["kind"], info["title"], info["topic"]) == ("private", "Secret garden", "roses")
    assert (info["inside"], info["people"]) == (True, 2)
    here.say("after").result()
    assert texts(there.history().result()) == ["after"]
    assert "before" not in texts(there.events({"after": 0}).result())
    assert texts(here.history().result()) == ["before", "after"]
    bob.wait_for("after")
    assert "before" not in texts(bob.events)
    assert bob.enter(info["name"]).info.result()["name"] == info["name"]
    assert info["name"] not in [room["name"] for room in carol.person.rooms().result()]


def test_a_private_room_can_show_what_was_before(ann: Guest, bob: Guest) -> None:
    here = ann.person.open({"title": "Open book", "history": "all"}).result()
    here.say("before").result()

    there = bob.person.accept(here.createPass().result()).result()

    assert texts(there.history().result()) == ["before"]


def test_only_its_owner_governs_a_private_room(ann: Guest, bob: Guest) -> None:
    here = ann.person.open({"title": "Ours"}).result()
    given = here.createPass().result()
    there = bob.person.accept(given).result()
    for call in (
        there.createPass(),
        there.revokePasses(),
        there.setTopic("mine"),
        there.handOn(bob.me["name"]),
        there.close(),
    ):
        assert refusal(call) == "forbidden"

    here.revokePasses().result()
    here.handOn(bob.me["name"]).result()

    assert refusal(bob.person.accept(given)) == "no_such_room"
    there.setTopic("mine").result()
    assert ann.wait_for_type("topic")["room"] == here.info.result()["name"]
    roles = {person["name"]: person["role"] for person in here.people().result()}
    assert roles == {ann.me["name"]: "member", bob.me["name"]: "owner"}
    there.close().result()
    wait_until(lambda: "closed the room" in ann.events[-1]["text"])
    assert refusal(here.say("still here?")) == "not_joined"


@pytest.mark.parametrize(
    "options", [{}, {"title": " "}, {"title": "x" * 65}, {"title": "x", "history": "some"}, None]
)
def test_a_private_room_needs_a_title(ann: Guest, options: Any) -> None:
    assert refusal(ann.person.open(options)) in ("bad_request", "too_large")


@pytest.mark.parametrize("options", [{"days": 0}, {"days": 400}, {"uses": 0}, {"uses": "many"}])
def test_a_pass_is_good_for_a_time_and_a_number_of_uses(ann: Guest, options: Any) -> None:
    here = ann.person.open({"title": "Ours"}).result()

    assert refusal(here.createPass(options)) == "bad_request"


def test_a_conversation_is_one_room_for_two_whoever_asks_first(ann: Guest, bob: Guest) -> None:
    asked = [ann.person.direct(bob.me["name"]), bob.person.direct(ann.me["name"])]
    here, there = (promise.result() for promise in asked)

    here.say("psst").result()

    event = bob.wait_for("psst")
    infos = [room.info.result() for room in (here, there)]
    assert infos[0]["name"] == infos[1]["name"] == event["room"]
    assert [info["with"] for info in infos] == [bob.me["name"], ann.me["name"]]
    assert {event["type"] for event in ann.heard_in(event["room"])} == {"chat"}


def test_a_conversation_ends_with_the_stay_of_either(ann: Guest, bob: Guest) -> None:
    here = ann.person.direct(bob.me["name"]).result()
    here.say("psst").result()
    bob.wait_for("psst")

    bob.person.logout().result()

    ann.wait_for_type("notice")
    assert refusal(here.say("are you there?")) == "not_joined"


def test_whom_one_blocks_can_be_asked_a_part_at_a_time(ann: Guest, bob: Guest) -> None:
    for name in (bob.me["name"], "Zoë", "nobody here"):
        ann.person.block(name).result()

    everyone = sorted((bob.me["name"], "nobody here", "zoë"), key=str.casefold)
    assert ann.person.blocked().result() == everyone
    assert ann.person.blocked({"limit": 2}).result() == everyone[:2]
    assert ann.person.blocked({"after": "ZOË"}).result() == []
    assert ann.person.blocked({"after": everyone[0]}).result() == everyone[1:]
    assert bob.person.blocked().result() == []
    assert refusal(ann.person.blocked({"after": "\n"})) == "bad_request"


def test_nobody_has_to_talk_to_whom_he_blocks(ann: Guest, bob: Guest) -> None:
    bob.person.block(ann.me["name"]).result()
    assert refusal(ann.person.direct(bob.me["name"])) == "no_such_room"

    bob.person.block(ann.me["name"], False).result()
    here = ann.person.direct(bob.me["name"]).result()
    said = here.say("hello").result()

    bob.person.block(ann.me["name"]).result()
    assert refusal(here.say("are you there?")) == "forbidden"
    assert refusal(here.edit(said["id"], "are you there?")) == "forbidden"
    assert refusal(here.react(said["id"], "👋")) == "forbidden"
    bob.person.direct(ann.me["name"]).result().say("no").result()
    here.remove(said["id"]).result()


# --- sharing


def test_a_shared_room_speaks_and_cannot_leave_or_govern(ann: Guest) -> None:
    here = ann.person.open({"title": "Bots"}).result()

    shared = here.share().result()

    message = shared.say("beep").result()["id"]
    shared.edit(message, "boop").result()
    assert texts(shared.history().result()) == ["boop"]
    for method in ("leave", "close", "createPass", "revokePasses", "setTopic", "handOn", "share"):
        with pytest.raises(TypeError, match="not a function"):
            getattr(shared, method)("x").result()
    assert here.say("still here").result()


# --- the seed's calls beside it


def test_a_callback_of_join_hears_what_one_of_before_knows(
    each_server: ServerProcess, connect: Connect, ann: Guest, name: str
) -> None:
    seed = connect(each_server.url)
    seed.join(f"{name} seed")
    lobby = ann.enter("lobby")
    message = lobby.say("helo").result()["id"]
    lobby.edit(message, "hello").result()
    lobby.react(message, "👍").result()
    lobby.remove(message).result()
    lobby.typing().result()

    mark = seed.say(f"{name} seed", "the end")

    ann.wait_for("the end")
    wait_until(lambda: any(event["id"] == mark for event in seed.events))
    assert {event["type"] for event in seed.events} <= {"chat", "join", "leave"}
    (heard,) = (event for event in seed.events if event["id"] == message)
    assert heard.keys() == {"id", "type", "user", "text", "time", "room", "by"}
    assert (heard["room"], heard["user"]) == ("lobby", ann.me["name"])


def test_who_has_logged_in_and_entered_the_lobby_speaks_there_by_the_seeds_calls_too(
    ann: Guest, bob: Guest
) -> None:
    bob.enter("lobby")
    main, mine = ann.session.main, ann.me["name"]
    assert refusal(main.sendMessage(mine, "too early")) == "not_joined"
    ann.enter("lobby")

    sent = main.sendMessage(mine, f"hello from {mine}").result()

    assert bob.wait_for(f"hello from {mine}")["id"] == sent["id"]
    assert main.leave(mine).result() == {"message": f"Goodbye, {mine}!"}
    assert refusal(ann.person.me) == "not_joined"


def test_a_stay_goes_on_from_join_to_login_and_back(
    each_server: ServerProcess, connect: Connect, log_in: LogIn, name: str, room: str
) -> None:
    seed = connect(each_server.url)
    joined = seed.join(name)

    person = log_in(name, resume=joined["resume"], since=joined["lastId"])
    assert [r["name"] for r in person.me["rooms"]] == ["lobby"]
    assert seed.closed() == 4001
    person.enter(room)
    message = person.enter("lobby").say(f"hello from {name}").result()["id"]
    assert person.wait_for(f"hello from {name}")["prev"] < message

    again = connect(each_server.url)
    again.join(name, {"resume": joined["resume"], "since": message - 1})
    wait_until(lambda: person.session.closed)
    again.say(name, f"bye from {name}")
    again.wait_for(f"bye from {name}")
    assert {event["room"] for event in again.events} == {"lobby"}

    back = log_in(name, resume=joined["resume"])
    assert {r["name"] for r in back.me["rooms"]} == {"lobby", room}


def test_what_is_asked_of_a_room_is_done_in_the_order_of_asking(ann: Guest, room: str) -> None:
    inside = ann.person.enter(room)

    said = [inside.say(f"{n}") for n in range(20)]
    said[-1].result()

    assert texts(inside.history().result()) == [f"{n}" for n in range(20)]


# --- coming back


def test_coming_back_tells_first_what_was_missed_in_all_rooms(
    log_in: LogIn, ann: Guest, name: str, room: str
) -> None:
    bob = log_in(f"{name} Bob", silent=True)
    me = bob.me
    here, elsewhere = ann.enter(room), ann.enter(f"{room}.other")
    bob.person.enter(room).result()
    bob.person.enter(f"{room}.other").result()
    direct = ann.person.direct(me["name"]).result()
    since = here.say("heard").result()["id"]
    bob.lose()
    elsewhere.say("one").result()
    removed = here.say("not to be told").result()["id"]
    here.say("two").result()
    direct.say("three").result()
    here.remove(removed).result()

    back = log_in(me["name"], resume=me["resume"], epoch=me["epoch"], since=since)

    again = back.me
    back.wait_for("three")
    wait_until(lambda: back.heard_in(room, "remove"))
    assert (again["name"], again["resume"], again["recovered"]) == (me["name"], me["resume"], True)
    assert {r["name"] for r in again["rooms"]} == {
        room,
        f"{room}.other",
        direct.info.result()["name"],
    }
    ids = [event["id"] for event in back.events]
    assert ids == sorted(set(ids))
    assert min(ids) > since
    assert [e["text"] for e in back.events if e["type"] == "chat" and "text" in e] == [
        *("one", "two", "three")
    ]
    here.say("live").result()
    back.wait_for("live")


def test_coming_back_tells_nothing_of_rooms_that_were_left(
    log_in: LogIn, ann: Guest, bob: Guest, room: str
) -> None:
    here = ann.enter(room)
    there = bob.enter(room)
    here.say("heard").result()
    since = bob.wait_for("heard")["id"]
    me = bob.me
    here.say("missed").result()
    there.leave().result()
    bob.lose()

    back = log_in(me["name"], resume=me["resume"], since=since)

    assert back.me["rooms"] == []
    back.enter(f"{room}.other").say("mark").result()
    back.wait_for("mark")
    assert back.heard_in(room) == []


def test_rooms_outlive_a_server_that_is_killed(start_server: StartServer, tmp_path: Path) -> None:
    store = ("--store", f"sqlite:///{tmp_path}/chat.db")
    server = start_server(*store)
    ann, bob = Guest(server.url, "Ann"), Guest(server.url, "Bob", silent=True)
    here = ann.person.open({"title": "Ours"}).result()
    there = bob.person.accept(here.createPass().result()).result()
    direct = ann.person.direct("Bob").result().info.result()["name"]
    since = here.say("heard").result()["id"]
    ann.wait_for("heard")
    last = there.say("not heard").result()["id"]
    me = ann.me

    server.kill()
    again = start_server(*store)
    back = Guest(again.url, "Ann", resume=me["resume"], epoch=me["epoch"], since=since)

    assert (back.me["recovered"], back.me["resume"]) == (True, me["resume"])
    assert {room["kind"] for room in back.me["rooms"]} == {"private", "direct"}
    assert back.wait_for("not heard")["id"] == last
    assert texts(back.person.enter(direct).history().result()) == []
    private = next(room["name"] for room in back.me["rooms"] if room["kind"] == "private")
    assert texts(back.person.enter(private).history().result()) == ["heard", "not heard"]
    for guest in (ann, bob, back):
        guest.close()


def test_logging_in_takes_the_stay_over_and_ends_the_connection_before(
    log_in: LogIn, ann: Guest, room: str
) -> None:
    ann.enter(room)
    me = ann.me

    back = log_in(me["name"], resume=me["resume"])

    assert [r["name"] for r in back.me["rooms"]] == [room]
    wait_until(lambda: ann.session.closed)
    assert back.enter(room).say("still me").result()
