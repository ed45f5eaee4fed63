"""Chat servers that are not ours: one chats with what is there, and whatever they answer is no
traceback and no hang."""

import json
import subprocess
import sys
from typing import Any

import pytest

from chatclient import BadAnswer, ChatClient, ChatError
from tests.conftest import StartProcess
from tests.processes import DEADLINE, REPOSITORY, wait_until


def start_other(start_process: StartProcess, **answers: Any) -> str:
    """Where it is; with `answers`, it is a strange one."""
    command = [sys.executable, "-m", "tests.chatclient.other_servers"]
    server = start_process(*command, *([json.dumps(answers)] if answers else []), ready="ready ")
    return server.lines[0].partition(" ")[2]


@pytest.fixture
def plain(start_process: StartProcess) -> str:
    """The address of a server without ids, log and secrets."""
    return start_other(start_process)


def run(url: str, typed: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The terminal program, until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "chatclient", "--url", url, *options],
        cwd=REPOSITORY,
        input=typed,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )


def test_the_transcript_is_the_same(plain: str) -> None:
    for _ in range(2):  # The first has left, or the name were taken.
        ended = run(plain, "Alice\nHello everyone!\n/quit\n", "--history", "20")
        assert ended.stdout == (
            "Enter your username: Alice\n"
            "Joined chat as Alice\n"
            "Users online: ['Alice']\n"
            "\n"
            "Type a message and press Enter (or /quit to leave):\n"
            "[Alice]: Hello everyone!\n"
        )
        assert ended.stderr == ""
        assert ended.returncode == 0


def test_what_it_does_not_have_is_a_sentence(plain: str) -> None:
    ended = run(plain, "/history\n", "--username", "Alice")
    assert ended.stderr == "This server keeps no history that could be read.\n"
    assert ended.returncode == 0


def test_two_people_chat(plain: str) -> None:
    with ChatClient(plain, "Alice", max_waiting=3) as alice:
        events = alice.events()
        with ChatClient(plain, "Bob") as bob:
            assert (next(events).type, alice.users()) == ("system", ["Alice", "Bob"])
            receipt = bob.send("hello")
            assert receipt.id == 0
            event = next(events)
            assert (event.type, event.user, event.text) == ("chat", "Bob", "hello")
            for number in range(10):
                bob.send(str(number))
            wait_until(lambda: alice._inbox.seen == 12)
            # What overflowed is lost: nobody has kept it.
            assert [next(events).text for _ in range(3)] == ["0", "1", "2"]
            bob.send("after")
            assert next(events).text == "after"
        assert next(events).text == "Bob left"


def test_a_name_that_is_taken_is_one_line_and_a_failure(plain: str) -> None:
    with ChatClient(plain, "Alice"):
        ended = run(plain, "", "--username", "Alice")
    assert ended.stderr == "Username 'Alice' is already taken\n"
    assert ended.returncode == 1


STRANGE: list[tuple[str, Any, str]] = [
    ("join", None, "answer to join is no object but null"),
    ("join", "Welcome!", "answer to join is no object but a str"),
    ("join", [1], "answer to join is no object but a list"),
    ("listUsers", None, "answer to listUsers is no list of names"),
    ("listUsers", ["Alice", 1], "answer to listUsers is no list of names"),
    ("getHistory", "all of it", "answer to getHistory is no list but a str"),
    ("getHistory", [None], "event without a text"),
    ("getHistory", [{"text": "no id"}], "not in the order of its ids"),
    ("getHistory", [{"id": 1, "text": "a"}, {"id": 1, "text": "a"}], "not in the order"),
    ("events", [{}, {"text": 1}, {"text": "no id"}], "event without"),
]


@pytest.mark.parametrize(("call", "answer", "why"), STRANGE)
def test_a_wrong_answer_is_a_sentence_that_names_it(
    start_process: StartProcess, call: str, answer: Any, why: str
) -> None:
    url = start_other(start_process, **{call: answer})

    ended = run(url, "/history\n", "--username", "Alice")

    assert why in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_no_chat_server_is_names_the_call_that_is_missing(
    start_process: StartProcess,
) -> None:
    url = (
        start_process(sys.executable, "-m", "tests.interop.scenario_server", ready="ready ")
        .lines[0]
        .partition(" ")[2]
    )

    ended = run(url, "hello\n", "--username", "Alice")

    (line,) = ended.stderr.splitlines()
    assert "join" in line
    assert ended.returncode == 1


@pytest.mark.parametrize(
    "join",
    [
        {"username": 7, "lastId": "0", "epoch": 1, "resume": []},
        {"username": None, "lastId": -1, "epoch": "e", "resume": "r", "users": 1},
        {"lastId": True, "epoch": "e", "resume": "r"},
        {},
    ],
)
@pytest.mark.parametrize("said", [None, "sent", {"id": "1", "time": "now"}])
def test_an_answer_that_says_nothing_useful_is_done_without(
    start_process: StartProcess, join: Any, said: Any
) -> None:
    url = start_other(start_process, join=join, sendMessage=said, userCount="many")

    with ChatClient(url, "Alice", history=20) as alice:
        assert (alice.username, alice.send("hello").id) == ("Alice", 0)
        assert next(alice.events()).text == "hello"
        with pytest.raises(BadAnswer, match="userCount"):
            _ = alice.user_count
        with pytest.raises(ChatError, match="history"):
            alice.history()
        assert alice.leave() == ""


def test_a_lost_connection_is_replaced_by_a_new_join(start_process: StartProcess) -> None:
    url = start_other(start_process, join={"message": "Welcome"})
    states: list[bool] = []
    with ChatClient(url, "Alice", on_status=lambda status: states.append(status.online)) as alice:
        assert next(alice.events()).text == "hello"
        assert alice._link._membership is not None
        alice._link._membership.session._transport._sock.shutdown(2)  # type: ignore[attr-defined]
        wait_until(lambda: states and states[-1])
        assert next(alice.events()).text == "hello"
