"""The terminal program in scripts: its lines of JSON, and what it is told on the command line."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from chatclient import (
    BadRequest,
    ChatClient,
    ConnectionLost,
    Event,
    Reaction,
    TakenOver,
    Unauthorized,
    Unavailable,
    Unreachable,
    UsernameTaken,
)
from chatclient.json_lines import json_line
from chatclient.statuses import MEANINGS, status_of
from tests.conftest import StartProcess
from tests.processes import DEADLINE, REPOSITORY, Processes, ServerProcess, wait_until

PROGRAM = (sys.executable, "-m", "chatclient")


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """One server for all of this file; each test has names and rooms of its own."""
    with Processes() as processes:
        server = ServerProcess("--store", "memory:")
        processes.add(server)
        yield server


def run(*options: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """The program with `typed` as its whole input, until it ends."""
    return subprocess.run(
        [*PROGRAM, *options],
        cwd=REPOSITORY,
        input=typed,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )


def test_events_are_lines_of_json_and_nothing_else_is_written(server: ServerProcess) -> None:
    ended = run(
        "--url", server.url, "--json", typed="Ann 1\n/enter garden1\nhello\n/users\n/help\n"
    )
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [event["text"] for event in events if event["type"] == "chat"] == ["hello"]
    (said,) = [event for event in events if event["type"] == "chat"]
    assert set(said) == {"id", "type", "room", "user", "text", "time"}
    assert (said["room"], said["user"]) == ("garden1", "Ann 1")
    assert "Users online: ['Ann 1']" in ended.stderr
    assert ended.returncode == 0


def test_send_says_something_and_goes(server: ServerProcess) -> None:
    with ChatClient(server.url, "Bob 2") as bob:
        room = bob.enter("garden2")
        ended = run(
            *("--url", server.url, "--username", "Ann 2", "--room", "garden2"),
            *("--send", "one", "--send", "two"),
        )
        said = [event.text for event in room.history()]
    assert said == ["one", "two"]
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)


def test_what_send_cannot_say_is_a_failure(server: ServerProcess) -> None:
    ended = run("--url", server.url, "--username", "Ann 3", "--send", "x" * 4_001)
    assert (ended.stdout, ended.returncode) == ("", 1)
    assert len(ended.stderr.splitlines()) == 1
    assert run("--url", server.url, "--send", "x").returncode == 2


def test_since_begins_behind_an_event_and_follow_stays(
    server: ServerProcess, start_process: StartProcess
) -> None:
    with ChatClient(server.url, "Bob 4") as bob:
        room = bob.enter("garden4")
        first = room.send("before")
        room.send("after")
        ann = start_process(
            *(*PROGRAM, "--url", server.url, "--username", "Ann 4", "--room", "garden4"),
            *("--json", "--follow", "--since", str(first.id)),
            ready="after",
        )
        ann.end_input()
        room.send("later")
        ann.wait_for_line("later")
        ann.terminate()
    said = [json.loads(line) for line in ann.lines]
    assert [one["text"] for one in said if one["type"] == "chat"] == ["after", "later"]


def test_on_a_pipe_only_the_room_is_read(server: ServerProcess) -> None:
    with ChatClient(server.url, "Bob 5") as bob:
        wait_until(lambda: bob.newest(1))
        bob.send("in the lobby")
        ended = run(
            *("--url", server.url, "--username", "Ann 5", "--room", "garden5"), typed="hello\n"
        )
    assert "[Ann 5]: hello" in ended.stdout
    assert "in the lobby" not in ended.stdout


def test_a_line_of_json_has_what_an_event_has() -> None:
    time = datetime(2026, 11, 27, 9, 30, 0, 123456, tzinfo=timezone.utc)
    event = Event(
        7,
        "chat",
        "Ann",
        "hi\n\u202e",
        time,
        room="lobby",
        reply_to=3,
        edited=time,
        reactions={"👍": Reaction(1, ("Bob",))},
    )
    line = json_line(event)
    assert line.isascii()
    assert json.loads(line) == {
        "id": 7,
        "type": "chat",
        "room": "lobby",
        "user": "Ann",
        "text": "hi\n\u202e",
        "time": "2026-11-27T09:30:00.123Z",
        "reply_to": 3,
        "edited": "2026-11-27T09:30:00.123Z",
        "reactions": {"👍": {"count": 1, "users": ["Bob"]}},
    }
    removed = json.loads(json_line(Event(8, "remove", "Ann", "", time, target=7)))
    assert removed["target"] == 7


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsernameTaken("taken"), 3),
        (TakenOver("elsewhere"), 3),
        (Unauthorized("no"), 4),
        (Unreachable("HTTP status 403", 403), 4),
        (Unreachable("HTTP status 503", 503), 5),
        (ConnectionLost("gone"), 5),
        (Unavailable("no answer"), 5),
        (BadRequest("such a name"), 1),
        (OSError("something else"), 1),
    ],
    ids=str,
)
def test_a_script_can_tell_by_the_status_why_there_is_no_chat(
    error: Exception, status: int
) -> None:
    assert status_of(error) == status


def test_the_exit_statuses_are_in_the_documentation() -> None:
    page = (REPOSITORY / "docs" / "terminal.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE))
    assert rows == {str(status): meaning for status, meaning in MEANINGS.items()}
