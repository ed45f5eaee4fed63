"""Every way from one state of the membership table to another, over real connections.

An observer, who is never disturbed, says what was told: one leave event or none.
"""

import signal
import sys
from collections.abc import Callable

import pytest

from tests.chatserver.conftest import Connect
from tests.chatserver.wire import Rejected, WireClient
from tests.conftest import StartProcess
from tests.processes import ServerProcess, wait_until


@pytest.fixture
def observer(connect: Connect, shared_server: ServerProcess, name: str) -> WireClient:
    observer = connect(shared_server.url)
    observer.join(f"{name} observed")
    return observer


def told_of(observer: WireClient, name: str) -> list[str]:
    """Joins and leaves of `name`, after everything that was told before now has arrived."""
    mark = observer.say(next(iter(observer.resume)), "mark")
    wait_until(lambda: any(event["id"] == mark for event in observer.events))
    return [event["type"] for event in observer.events if name in event.get("users", ())]


def wait_for_join(observer: WireClient, name: str) -> None:
    """Who leaves earlier is not told of."""
    wait_until(lambda: "join" in told_of(observer, name), message=f"{name} has joined")


def wait_for_leave(observer: WireClient, name: str) -> None:
    wait_until(lambda: "leave" in told_of(observer, name), message=f"{name} has left")


def online(observer: WireClient, name: str) -> bool:
    return name in observer.call("listUsers")


def test_joining_makes_a_member_and_is_told(
    client: WireClient, observer: WireClient, name: str
) -> None:
    joined = client.join(name)

    assert joined["message"] == f"Welcome to the chat, {name}!"
    assert joined["username"] == name
    assert online(observer, name)
    wait_until(lambda: told_of(observer, name) == ["join"])


def test_leaving_frees_the_name_and_is_told(
    client: WireClient, observer: WireClient, name: str
) -> None:
    client.join(name)
    wait_for_join(observer, name)

    assert client.call("leave", name) == {"message": f"Goodbye, {name}!"}

    assert not online(observer, name)
    wait_for_leave(observer, name)
    assert told_of(observer, name) == ["join", "leave"]
    with pytest.raises(Rejected, match="not joined") as refused:
        client.say(name, "hello")
    assert refused.value.code == "not_joined"


def test_leaving_releases_the_callback_and_ends_delivery(
    client: WireClient, observer: WireClient, name: str
) -> None:
    client.join(name)

    client.call("leave", name)
    heard = list(client.events)

    wait_until(lambda: client.released == [-1])
    observer.say(f"{name} observed", "who is still here?")
    assert client.call("listUsers")
    assert client.events == heard


@pytest.mark.parametrize("code", [1000, 1001, 3000])
def test_a_client_that_closes_on_purpose_has_left_at_once(
    client: WireClient, observer: WireClient, name: str, code: int
) -> None:
    client.join(name)
    wait_for_join(observer, name)

    client.close(code)

    wait_until(lambda: not online(observer, name), timeout=0.9)
    wait_for_leave(observer, name)
    assert told_of(observer, name) == ["join", "leave"]


def test_a_close_frame_without_a_code_is_on_purpose(
    client: WireClient, observer: WireClient, name: str
) -> None:
    client.join(name)

    client.close_without_code()

    wait_until(lambda: not online(observer, name), timeout=0.9)


def lost(client: WireClient) -> None:
    client.lose()


def was_reset(client: WireClient) -> None:
    client.reset()


def closed_with_another_code(client: WireClient) -> None:
    client.close(1011)


def broke_the_protocol(client: WireClient) -> None:
    client.send("this is not JSON")
    assert client.closed() == 3000


LOSSES = [lost, was_reset, closed_with_another_code, broke_the_protocol]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_client_is_waited_for_and_then_left_once(
    client: WireClient, observer: WireClient, name: str, lose: Callable[[WireClient], None]
) -> None:
    client.join(name)
    wait_for_join(observer, name)

    lose(client)

    assert online(observer, name)
    wait_for_leave(observer, name)
    assert not online(observer, name)
    assert told_of(observer, name) == ["join", "leave"]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_client_that_comes_back_in_time_was_never_away(
    client: WireClient,
    other: WireClient,
    observer: WireClient,
    name: str,
    lose: Callable[[WireClient], None],
) -> None:
    secret = client.join(name)["resume"]
    said = observer.say(f"{name} observed", "before")
    wait_until(lambda: client.events and client.events[-1]["id"] >= said)
    since = client.events[-1]["id"]
    lose(client)
    missed = observer.say(f"{name} observed", "meanwhile")

    back = other.join(name, {"resume": secret, "since": since})

    assert back["resume"] == secret
    assert back["recovered"] is True
    wait_until(lambda: any(event["id"] == missed for event in other.events))
    assert other.events[0]["id"] == since + 1
    assert other.say(name, "I am back") > missed
    assert "leave" not in told_of(observer, name)


def test_a_killed_client_is_waited_for_and_then_left_once(
    start_process: StartProcess, shared_server: ServerProcess, observer: WireClient, name: str
) -> None:
    program = (
        "import sys, time; from tests.chatserver.wire import WireClient\n"
        "client = WireClient(sys.argv[1]); client.join(sys.argv[2]); print('joined', flush=True)\n"
        "time.sleep(60)"
    )
    process = start_process(sys.executable, "-c", program, shared_server.url, name, ready="joined")

    wait_for_join(observer, name)
    process.signal(signal.SIGKILL)

    process.wait()
    assert online(observer, name)
    wait_for_leave(observer, name)
    assert told_of(observer, name) == ["join", "leave"]


def test_when_the_grace_is_over_the_name_is_anyones_and_the_secret_means_nothing(
    client: WireClient, other: WireClient, observer: WireClient, name: str
) -> None:
    secret = client.join(name)["resume"]
    wait_for_join(observer, name)
    client.lose()
    wait_for_leave(observer, name)

    again = other.join(name, {"resume": secret})

    assert again["resume"] != secret
    wait_until(lambda: told_of(observer, name) == ["join", "leave", "join"])


@pytest.mark.parametrize("options", [None, {}, {"resume": None}, {"resume": "wrong"}])
def test_a_held_name_is_taken_and_its_holder_lives_on(
    client: WireClient, other: WireClient, name: str, options: dict[str, str] | None
) -> None:
    client.join(name)

    with pytest.raises(Rejected, match=name) as refused:
        other.join(name, options)

    assert refused.value.code == "username_taken"
    wait_until(lambda: other.released == [-1])
    assert client.say(name, "still me")


def test_a_waiting_name_is_taken_too(client: WireClient, other: WireClient, name: str) -> None:
    client.join(name)
    client.lose()

    for options in (None, {"resume": "wrong"}):
        with pytest.raises(Rejected) as refused:
            other.join(name, options)
        assert refused.value.code == "username_taken"


def test_with_the_secret_another_connection_takes_over_and_the_old_one_is_closed(
    client: WireClient, other: WireClient, observer: WireClient, name: str
) -> None:
    secret = client.join(name)["resume"]
    wait_until(lambda: told_of(observer, name) == ["join"])

    taken = other.join(name, {"resume": secret})

    assert client.closed() == 4001
    assert taken["resume"] == secret
    assert other.say(name, "here now")
    assert told_of(observer, name) == ["join"]


def test_a_connection_that_lost_a_name_leaves_its_other_names_waiting(
    client: WireClient, other: WireClient, observer: WireClient, name: str
) -> None:
    secret = client.join(name)["resume"]
    client.join(f"{name} too")

    other.join(name, {"resume": secret})

    assert client.closed() == 4001
    assert online(observer, f"{name} too")
    wait_for_leave(observer, f"{name} too")
    assert "leave" not in told_of(observer, name)


def test_joining_again_with_the_secret_on_the_same_connection_changes_the_callback(
    client: WireClient, observer: WireClient, name: str
) -> None:
    secret = client.join(name)["resume"]
    client.join(name, {"resume": secret})

    said = client.say(name, "to the new callback")

    wait_until(lambda: client.released == [-1])
    wait_until(lambda: any(event["id"] == said for event in client.events))
    assert [event["id"] for event in client.events].count(said) == 1
    assert client.open
    assert "leave" not in told_of(observer, name)


def test_a_failed_second_join_on_the_same_connection_leaves_the_first_in_place(
    client: WireClient, name: str
) -> None:
    client.join(name)

    with pytest.raises(Rejected) as refused:
        client.join(name)

    assert refused.value.code == "username_taken"
    assert client.say(name, "still me")


def test_nobody_can_speak_for_a_name_of_another_connection(
    client: WireClient, other: WireClient, name: str
) -> None:
    client.join(name)

    for call in (("sendMessage", name, "hello"), ("leave", name)):
        with pytest.raises(Rejected) as refused:
            other.call(*call)
        assert refused.value.code == "not_joined"


def test_a_connection_that_ends_while_its_join_is_under_way_leaves_nobody_behind(
    connect: Connect, shared_server: ServerProcess, observer: WireClient, name: str
) -> None:
    for number in range(20):
        hasty = connect(shared_server.url)
        hasty.push("join", f"{name} {number}", hasty.callback())
        hasty.lose()

    wait_until(lambda: not [user for user in observer.call("listUsers") if f"{name} " in user][1:])
