"""The main object of a connection, over the wire: results, options, error codes."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.chatserver.conftest import Connect
from tests.chatserver.wire import FUNCTION, OBJECT, Rejected, WireClient
from tests.processes import ServerProcess, wait_until


def refusal(client: WireClient, method: str, *arguments: Any) -> tuple[str, str | None]:
    """Class and code of the error that a call gets."""
    with pytest.raises(Rejected) as refused:
        client.call(method, *arguments)
    return refused.value.name, refused.value.code


# --- join


def test_join_answers_with_everything_that_a_client_needs(
    client: WireClient, other: WireClient, name: str
) -> None:
    joined = other.join(f"{name} before")

    answer = client.join(name)

    assert answer.keys() == {
        *("message", "username", "userCount", "users", "lastId", "epoch", "resume", "recovered")
    }
    assert answer["userCount"] == len(answer["users"])
    assert answer["users"].index(f"{name} before") < answer["users"].index(name)
    assert answer["lastId"] >= joined["lastId"]
    assert answer["epoch"] == joined["epoch"]
    assert answer["recovered"] is True


def test_an_object_by_reference_has_its_onmessage_called(client: WireClient, name: str) -> None:
    client.call("join", name, OBJECT)

    client.say(name, "hello")

    client.wait_for("hello")
    assert client.paths[-1] == ["onMessage"]


def test_a_function_in_a_plain_object_is_called_itself(client: WireClient, name: str) -> None:
    client.call("join", name, FUNCTION)

    client.say(name, "hello")

    client.wait_for("hello")
    assert client.paths[-1] == []


@pytest.mark.parametrize(
    "callback", [None, 5, "onMessage", {}, {"onMessage": "text"}, {"onmessage": OBJECT}, [[OBJECT]]]
)
def test_anything_else_as_callback_is_a_type_error(
    client: WireClient, name: str, callback: Any
) -> None:
    assert refusal(client, "join", name, callback) == ("TypeError", "bad_request")
    assert client.call("join", name, FUNCTION)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    "reference",
    [
        ["import", 0],  # the server's chat
        ["pipeline", 0, ["getHistory"]],  # what has the server read the log for each event
        ["import", 1],  # a result of ours, with a stub in it
    ],
)
def test_what_is_no_stub_of_the_callers_own_is_no_callback(
    client: WireClient, name: str, reference: list[Any], plain: bool
) -> None:
    client.send('["push", ["export", -1]]')
    client.count_push()
    callback = {"onMessage": reference} if plain else reference

    assert refusal(client, "join", name, callback) == ("TypeError", "bad_request")
    assert name not in client.call("listUsers")


@pytest.mark.parametrize("name", ["e" + "\u0301" * 8_000, "", "\ud800", "system"])
def test_a_name_that_nobody_can_have_is_not_joined_with(client: WireClient, name: str) -> None:
    assert refusal(client, "sendMessage", name, "hello") == ("Error", "not_joined")
    assert refusal(client, "leave", name) == ("Error", "not_joined")


@pytest.mark.parametrize("option", ["resume", "epoch"])
def test_a_token_that_is_longer_than_any_is_refused(
    client: WireClient, name: str, option: str
) -> None:
    assert refusal(client, "join", name, OBJECT, {option: "x" * 65}) == ("Error", "bad_request")


def test_a_name_is_shown_as_it_is_compared_but_for_its_case(client: WireClient, name: str) -> None:
    joined = client.join(f"  {name}\u3000Ｘ ")

    assert joined["username"] == f"{name} X"
    assert client.say(f"{name} x", "hello")


@pytest.mark.parametrize(
    "bad", ["", " ", "x" * 33, "Al\x1bice", "system", "Ｓｙｓｔｅｍ", "\ud800"]
)
def test_a_bad_name_is_a_bad_request(client: WireClient, bad: str) -> None:
    assert refusal(client, "join", bad, OBJECT) == ("Error", "bad_request")
    wait_until(lambda: -1 in client.released)


def test_names_are_compared_by_nfkc_and_case_folding_and_shown_as_joined(
    client: WireClient, other: WireClient, name: str
) -> None:
    client.join(name)

    assert refusal(other, "join", name.upper(), OBJECT) == ("Error", "username_taken")
    assert refusal(other, "join", name.replace("A", "Ａ"), OBJECT) == ("Error", "username_taken")
    client.say(name.upper(), "hello")
    client.wait_for("hello")
    assert client.events[-1]["user"] == name
    assert name in client.call("listUsers")


def test_one_connection_may_hold_ten_names(client: WireClient, name: str) -> None:
    for number in range(10):
        client.join(f"{name} {number}")

    assert refusal(client, "join", f"{name} 10", OBJECT) == ("Error", "too_many")
    client.call("leave", f"{name} 3")
    client.join(f"{name} 10")
    assert client.say(f"{name} 10", "hello")


def test_joins_under_way_count_among_the_ten(client: WireClient, name: str) -> None:
    calls = [client.push("join", f"{name} {n}", client.callback()) for n in range(11)]

    for call in calls[:10]:
        assert client.answer(call)
    with pytest.raises(Rejected) as refused:
        client.answer(calls[10])
    assert refused.value.code == "too_many"


# --- arguments and options


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("join", ()),
        ("join", ("Alice",)),
        ("join", (5, OBJECT)),
        ("sendMessage", ("Alice",)),
        ("sendMessage", ("Alice", 5)),
        ("leave", ()),
        ("leave", (None,)),
    ],
)
def test_missing_and_mistyped_arguments_are_type_errors_and_the_connection_goes_on(
    client: WireClient, method: str, arguments: tuple[Any, ...]
) -> None:
    assert refusal(client, method, *arguments)[0] == "TypeError"
    assert isinstance(client.call("listUsers"), list)


@pytest.mark.parametrize(
    "options",
    [5, "text", [[]], *({"since": bad} for bad in ("1", 1.5, True)), {"epoch": 5}, {"resume": {}}],
)
def test_options_of_a_wrong_type_are_type_errors(
    client: WireClient, name: str, options: Any
) -> None:
    assert refusal(client, "join", name, OBJECT, options) == ("TypeError", "bad_request")


def test_absent_null_undefined_unknown_options_and_surplus_arguments_are_ignored(
    client: WireClient, name: str
) -> None:
    nothing = ["undefined"]
    options = {"since": None, "epoch": nothing, "resume": nothing, "colour": "red"}

    assert client.call("join", name, OBJECT, options, "surplus", 7)
    assert client.call("sendMessage", name, "hello", nothing)
    assert client.call("sendMessage", name, "hello", None)
    assert client.call("sendMessage", name, "hello", {"key": nothing}, 7)
    assert client.call("getHistory", nothing)


def test_an_unknown_method_is_a_type_error(client: WireClient) -> None:
    assert refusal(client, "_closed")[0] == "TypeError"
    assert refusal(client, "shutdown")[0] == "TypeError"


# --- sendMessage


def test_a_message_is_answered_with_the_id_and_time_that_everyone_gets(
    client: WireClient, other: WireClient, name: str
) -> None:
    client.join(name)
    other.join(f"{name} too")

    sent = client.call("sendMessage", name, "hello <b>\n\x1b[31m😀")

    for member in (client, other):
        member.wait_for("hello <b>\n\x1b[31m😀")
        event = member.events[-1]
        assert (event["id"], event["time"]) == (sent["id"], sent["time"])
        assert (event["type"], event["user"]) == ("chat", name)
        assert event.keys() == {"id", "type", "user", "text", "time", "room", "by"}
    age = datetime.now(timezone.utc) - sent["time"]
    assert timedelta(seconds=-1) < age < timedelta(seconds=30)


@pytest.mark.parametrize(
    ("text", "code"), [("", "bad_request"), (" \n", "bad_request"), ("x" * 4001, "too_large")]
)
def test_a_bad_text_is_refused(client: WireClient, name: str, text: str, code: str) -> None:
    client.join(name)

    assert refusal(client, "sendMessage", name, text) == ("Error", code)


def test_a_text_of_4000_characters_arrives_and_lone_surrogates_are_replaced(
    client: WireClient, name: str
) -> None:
    client.join(name)

    client.say(name, "😀" * 4000)
    client.say(name, "half \ud83d")

    client.wait_for("😀" * 4000)
    client.wait_for("half \ufffd")


def test_a_message_that_follows_its_join_waits_for_it(client: WireClient, name: str) -> None:
    join = client.push("join", name, OBJECT)
    send = client.push("sendMessage", name, "right behind")
    leave = client.push("leave", name)
    late = client.push("sendMessage", name, "too late")

    assert client.answer(join)
    assert client.answer(send)["id"]
    assert client.answer(leave)["message"] == f"Goodbye, {name}!"
    with pytest.raises(Rejected) as refused:
        client.answer(late)
    assert refused.value.code == "not_joined"


def test_a_message_that_follows_a_join_that_fails_is_not_joined(
    client: WireClient, other: WireClient, name: str
) -> None:
    other.join(name)

    client.push("join", name, OBJECT)
    with pytest.raises(Rejected) as refused:
        client.answer(client.push("sendMessage", name, "hello"))

    assert refused.value.code == "not_joined"


def test_the_same_key_again_is_answered_with_the_first_id(client: WireClient, name: str) -> None:
    client.join(name)
    first = client.call("sendMessage", name, "hello", {"key": "k"})
    client.say(name, "between")

    assert client.call("sendMessage", name, "hello", {"key": "k"}) == first
    assert refusal(client, "sendMessage", name, "other", {"key": "k"}) == ("Error", "bad_request")
    assert refusal(client, "sendMessage", name, "hello", {"key": ""}) == ("Error", "bad_request")
    assert refusal(client, "sendMessage", name, "hello", {"key": "k" * 65})[1] == "bad_request"
    assert refusal(client, "sendMessage", name, "hello", {"key": 5}) == ("TypeError", "bad_request")


# --- what happened before


def test_events_reach_every_member_in_order_once(
    connect: Connect, shared_server: ServerProcess, name: str
) -> None:
    members = [connect(shared_server.url) for _ in range(10)]
    joined = [member.join(f"{name} {n}") for n, member in enumerate(members)]

    calls = [
        (member, member.push("sendMessage", f"{name} {n}", f"{name} {n} says {turn}"))
        for turn in range(20)
        for n, member in enumerate(members)
    ]
    last = max(member.answer(call)["id"] for member, call in calls)

    wait_until(lambda: all(member.events[-1]["id"] >= last for member in members))
    for member, welcome in zip(members, joined, strict=True):
        ids = [event["id"] for event in member.events if event["id"] <= last]
        assert ids == list(range(welcome["lastId"] + 1, last + 1))


def test_since_delivers_what_was_missed_first(
    client: WireClient, other: WireClient, name: str
) -> None:
    client.join(name)
    ids = [client.say(name, f"message {number}") for number in range(600)]

    joined = other.join(f"{name} too", {"since": ids[0]})

    assert joined["recovered"] is True
    wait_until(lambda: other.events and other.events[-1]["id"] >= ids[-1])
    told = [event["id"] for event in other.events]
    assert told == list(range(ids[0] + 1, told[-1] + 1))


def test_an_epoch_that_matches_recovers_and_another_starts_from_now(
    client: WireClient, other: WireClient, name: str
) -> None:
    epoch = client.join(name)["epoch"]
    said = client.say(name, "hello")

    same = other.join(f"{name} 1", {"since": said - 1, "epoch": epoch})
    foreign = other.join(f"{name} 2", {"since": said - 1, "epoch": "another"})
    ahead = other.join(f"{name} 3", {"since": said + 10_000, "epoch": epoch})

    assert same["recovered"] is True
    assert foreign["recovered"] is False
    assert ahead["recovered"] is False
    last = client.say(name, "last")
    wait_until(lambda: [event["id"] for event in other.events].count(last) == 3)
    assert [event["id"] for event in other.events].count(said) == 1


def test_history_is_ascending_and_bounded_by_ids_and_number(client: WireClient, name: str) -> None:
    client.join(name)
    ids = [client.say(name, f"message {number}") for number in range(60)]

    def history(options: Any = None) -> list[int]:
        return [event["id"] for event in client.call("getHistory", options)]

    newest = history()
    assert len(newest) == 50
    assert newest == sorted(newest)
    assert newest[-1] >= ids[-1]
    assert history({"after": ids[0], "limit": 3}) == [ids[0] + n for n in (1, 2, 3)]
    assert history({"before": ids[-1], "limit": 2}) == [ids[-1] - 2, ids[-1] - 1]
    assert history({"after": ids[3], "before": ids[3] + 2}) == [ids[3] + 1]
    assert history({"before": 0}) == []
    assert len(history({"limit": 10_000})) <= 500
    assert refusal(client, "getHistory", {"limit": 0}) == ("Error", "bad_request")
    assert refusal(client, "getHistory", {"before": "x"}) == ("TypeError", "bad_request")


def test_the_counts_are_properties(client: WireClient, name: str) -> None:
    before = client.get("messageCount")
    client.join(name)
    client.say(name, "hello")

    assert client.get("messageCount") == before + 1
    assert client.get("userCount") == len(client.call("listUsers"))


def test_resuming_is_false_when_the_log_was_trimmed_and_starts_from_what_is_there(
    start_server: Any, connect: Connect
) -> None:
    server = start_server("--keep-messages", "5")
    client, other = connect(server.url), connect(server.url)
    client.join("Alice")
    last = max(client.say("Alice", str(number)) for number in range(20))
    wait_until(lambda: len(client.call("getHistory")) == 5)

    joined = other.join("Bob", {"since": 3})

    assert joined["recovered"] is False
    wait_until(lambda: other.events and other.events[-1]["id"] >= last)
    assert [event["id"] for event in other.events][:5] == list(range(last - 4, last + 1))
