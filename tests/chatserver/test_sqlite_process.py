"""The server with its log in a file: killed, out of room, locked out, and started twice."""

import json
import resource
import signal
import sqlite3
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.chatserver.conftest import Connect
from tests.chatserver.test_http import get
from tests.chatserver.wire import Rejected, WireClient
from tests.conftest import StartProcess, StartServer
from tests.processes import Process, ServerProcess, free_port, wait_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def store(path: Path) -> tuple[str, str]:
    return "--store", f"sqlite:///{path}"


def history(client: WireClient) -> list[dict[str, object]]:
    """The whole log."""
    log: list[dict[str, object]] = []
    while more := client.call("getHistory", {"after": log[-1]["id"] if log else 0, "limit": 500}):
        log += more
    return log


def chatter(client: WireClient, name: str, answered: dict[str, int]) -> threading.Thread:
    """Send, eight under way at a time, until the connection ends; note what is answered."""

    def run() -> None:
        sent: list[tuple[str, int]] = []
        number = 0
        try:
            while True:
                while len(sent) < 8:
                    number += 1
                    text = f"{name} says {number}"
                    sent.append((text, client.push("sendMessage", name, text)))
                text, call = sent.pop(0)
                answered[text] = client.answer(call)["id"]
        except (AssertionError, ConnectionClosed):
            return  # The connection has ended.

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def several_hundred(answered: dict[str, int]) -> bool:
    return len(answered) > 300


def test_a_kill_loses_nothing_that_was_answered(
    start_server: StartServer, connect: Connect, store: tuple[str, str]
) -> None:
    all_answered: dict[str, int] = {}
    for life in range(3):
        server = start_server(*store)
        names = [f"{name} {life}" for name in ("Alice", "Bob", "Carol")]
        clients = [connect(server.url) for _ in names]
        for client, name in zip(clients, names, strict=True):
            client.join(name)
        answered: dict[str, int] = {}
        threads = [chatter(c, n, answered) for c, n in zip(clients, names, strict=True)]
        wait_until(partial(several_hundred, answered))

        server.kill()
        for thread in threads:
            thread.join(20)
        all_answered |= answered

    log = history(connect(start_server(*store).url))
    assert [event["id"] for event in log] == list(range(1, len(log) + 1))
    ids = {event["text"]: event["id"] for event in log if event["type"] == "chat"}
    assert len(ids) == sum(event["type"] == "chat" for event in log)
    assert {text: ids.get(text) for text in all_answered} == all_answered


def test_who_was_there_before_a_kill_comes_back_as_if_nothing_had_happened(
    start_server: StartServer, connect: Connect, store: tuple[str, str]
) -> None:
    server = start_server(*store)
    alice = connect(server.url)
    first = alice.join("Alice")
    said = alice.call("sendMessage", "Alice", "hello", {"key": "k"})
    server.kill()

    server = start_server(*store)
    back = connect(server.url)
    again = back.join("Alice", {part: first[part] for part in ("resume", "epoch")} | {"since": 0})

    assert again["resume"] == first["resume"]
    assert again["epoch"] == first["epoch"]
    assert again["recovered"] is True
    back.wait_for("hello")
    assert back.texts == ["Alice joined the chat", "hello"]
    assert back.call("sendMessage", "Alice", "hello", {"key": "k"}) == said


def healthy(server: ServerProcess) -> bool:
    status, _, body = get(server.address, "/readyz")
    return (status, json.loads(body)["status"]) == (200, "ok")


def fill(client: WireClient, answered: list[int]) -> None:
    """Send until it fails; note what is answered."""
    while len(answered) < 1000:
        answered.append(client.say("Alice", "x" * 4000))


def test_a_full_disk_is_told_and_when_there_is_room_again_it_goes_on(
    start_server: StartServer, connect: Connect, store: tuple[str, str], path: Path
) -> None:
    server = start_server(*store)
    alice = connect(server.url)
    alice.join("Alice")
    alice.say("Alice", "before")
    _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    # The kernel refuses to make any file of that process larger than this.
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (100_000, most))
    answered: list[int] = []
    with pytest.raises(Rejected) as refused:
        fill(alice, answered)
    assert refused.value.code == "unavailable"
    assert not healthy(server)
    assert alice.call("getHistory", {"limit": 1})[0]["id"] == answered[-1]

    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))

    wait_until(lambda: healthy(server))
    after = alice.say("Alice", "after")
    alice.wait_for("after")
    chats = [event["id"] for event in history(alice) if event["type"] == "chat"]
    assert chats == [chats[0], *answered, after]
    assert [event["id"] for event in alice.events if event["type"] == "chat"] == chats


def test_a_database_that_another_program_has_locked_is_told_until_it_is_free(
    start_server: StartServer, connect: Connect, store: tuple[str, str], path: Path
) -> None:
    server = start_server(*store)
    alice = connect(server.url)
    alice.join("Alice")
    with closing(sqlite3.connect(path, isolation_level=None)) as other_program:
        other_program.execute("BEGIN IMMEDIATE")
        with pytest.raises(Rejected) as refused:
            alice.say("Alice", "hello")
        assert refused.value.code == "unavailable"
        assert alice.call("getHistory")[-1]["text"] == "Alice joined the chat"

    wait_until(lambda: healthy(server))
    assert alice.say("Alice", "hello") == 2


def starting(start_process: StartProcess, *options: str) -> Process:
    """Another server, which does not get to serving yet."""
    port = str(free_port())
    return start_process(sys.executable, "-m", "chatserver", "--port", port, *options)


def test_a_second_server_on_the_same_file_waits_for_the_end_of_the_first(
    start_server: StartServer,
    start_process: StartProcess,
    connect: Connect,
    store: tuple[str, str],
    path: Path,
) -> None:
    first = start_server(*store)
    alice = connect(first.url)
    alice.join("Alice")
    second = starting(start_process, *store)
    second.wait_for_line(f"uses the database; waiting .* store={path}", stderr=True)
    assert alice.say("Alice", "hello") == 2

    assert first.terminate() == 0

    url = second.wait_for_line(ServerProcess.BANNER)["url"]
    assert connect(url).join("Alice", {"resume": alice.resume["Alice"]})["lastId"] == 2


def test_a_server_that_waits_can_be_interrupted(
    start_server: StartServer, start_process: StartProcess, store: tuple[str, str]
) -> None:
    start_server(*store)
    second = starting(start_process, *store)
    second.wait_for_line("waiting", stderr=True)

    second.signal(signal.SIGINT)

    assert second.wait() == -signal.SIGINT
    assert len(second.error_lines) == 1


def test_a_file_that_cannot_be_used_is_told_in_one_line(
    start_process: StartProcess, store: tuple[str, str], path: Path
) -> None:
    path.write_text("no database")

    ended = starting(start_process, *store)

    assert ended.wait() == 1
    (line,) = ended.error_lines
    assert line.startswith(f"chatserver: The database {path} is damaged")
    assert ended.lines == []


def test_stopping_leaves_one_file_and_its_lock(
    start_server: StartServer, connect: Connect, store: tuple[str, str], path: Path
) -> None:
    server = start_server(*store)
    connect(server.url).join("Alice")

    assert server.terminate() == 0

    assert sorted(file.name for file in path.parent.iterdir()) == ["chat.db", "chat.db.lock"]
    assert server.error_lines == []
