"""`python -m chatserver admin`: what it asks a running server, and how it shows the answers."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from capnweb_sync import ClientSession, connect
from chatserver.admin.command_line import run_admin_command
from chatserver.admin.connection import url_of
from chatserver.admin.tables import table
from chatserver.errors import SettingError, StartError
from chatserver.invite import secret_of
from chatserver.settings import Settings
from chatserver.tokens import issue
from tests.conftest import StartProcess
from tests.processes import DEADLINE, Processes, ServerProcess, wait_until

Admin = Callable[..., list[str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is kept, with the secret beside it."""
    return f"sqlite:///{tmp_path_factory.mktemp('admin') / 'chat.db'}"


@pytest.fixture(scope="module")
def server(store: str) -> Iterator[ServerProcess]:
    """One for all of this file; each test has names and rooms of its own."""
    with Processes() as processes:
        yield processes.add(ServerProcess("--store", store, "--unlimited-addresses", ""))


@pytest.fixture
def admin(
    server: ServerProcess,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Admin:
    """Type a command where the server was started, which is all that it takes: its output."""
    monkeypatch.setenv("CHAT_STORE", store)
    monkeypatch.setenv("CHAT_PORT", str(server.address[1]))

    def type_(*arguments: str) -> list[str]:
        capfd.readouterr()
        assert run_admin_command(["admin", *arguments]) == 0
        return capfd.readouterr().out.splitlines()

    return type_


def guest(server: ServerProcess, name: str, room: str) -> ClientSession:
    """Somebody who says something in a room, and stays."""
    session = connect(server.url)
    session.main.login(None, {"name": name}).enter(room).say("hello").result(DEADLINE)
    return session


def test_what_there_is_is_listed_for_people_and_for_programs(
    server: ServerProcess, admin: Admin
) -> None:
    with guest(server, "Bob 1", "tea1"):
        lines = [line.split("  ") for line in admin("people")]
        assert [part.strip() for part in lines[0] if part] == ["NAME", "ROLE", "ONLINE", "ROOMS"]
        assert ["Bob 1", "-", "yes", "1"] in [[p.strip() for p in line if p] for line in lines]
        listed = [json.loads(line) for line in admin("people", "--json")]
        assert {"name": "Bob 1", "role": None, "online": True, "rooms": 1} in listed
        rooms = {room["name"]: room for room in map(json.loads, admin("rooms", "--json"))}
        assert rooms["tea1"]["people"] == 1
        stays = {stay["name"]: stay for stay in map(json.loads, admin("connections", "--json"))}
        assert stays["Bob 1"] == {"name": "Bob 1", "account": False, "connected": True}
        (numbers,) = map(json.loads, admin("statistics", "--json"))
        assert numbers["messages"] >= 1
        assert any(line.startswith("messages") for line in admin("statistics"))


def test_whoever_administers_is_listed_as_long_as_that_takes(
    server: ServerProcess, store: str, admin: Admin
) -> None:
    def names() -> list[str]:
        return [person["name"] for person in root.people().result(DEADLINE)]

    assert any(line.startswith("Operator ") for line in admin("people"))
    token = issue("Root 0", secret_of(replace(Settings(), store=store)), role="admin")
    with connect(server.url) as session:
        root = session.main.login(None, {"token": token}).administer()
        wait_until(lambda: "Operator" not in names())
        assert "Root 0" in names()


def test_a_room_is_exported_and_closed(server: ServerProcess, admin: Admin) -> None:
    with guest(server, "Bob 2", "tea2"):
        events = [json.loads(line) for line in admin("export", "tea2")]
        assert ("Bob 2", "hello") in [(event["user"], event["text"]) for event in events]
        assert admin("close", "tea2") == ["The room is closed."]
        with pytest.raises(StartError, match="room"):
            admin("export", "tea2")


def test_somebody_is_disconnected_banned_and_let_in_again(
    server: ServerProcess, admin: Admin
) -> None:
    bob = guest(server, "Bob 3", "tea3")
    assert admin("disconnect", "Bob 3", "--reason", "good night")[0].endswith(": 1.")
    assert bob.wait_closed(DEADLINE)
    bob.close()
    with guest(server, "Bob 3", "tea3"):
        (banned,) = map(
            json.loads, admin("ban", "Bob 3", "--for", "10m", "--reason", "spam", "--json")
        )
    (sanction,) = map(json.loads, admin("sanctions", "--json"))
    assert (sanction["id"], sanction["kind"], sanction["reason"]) == (banned["id"], "ban", "spam")
    assert sanction["until"] is not None
    assert "spam" in admin("sanctions")[1]
    assert admin("lift", str(banned["id"])) == ["Lifted."]
    assert admin("sanctions", "--json") == []
    with guest(server, "Bob 3", "tea3"):
        pass


def test_nobody_is_let_in_from_a_banned_address(admin: Admin) -> None:
    (banned,) = map(json.loads, admin("ban", "--address", "203.0.113.7", "--json"))
    (sanction,) = map(json.loads, admin("sanctions", "--json"))
    assert (sanction["id"], sanction["name"], sanction["until"]) == (banned["id"], None, None)
    admin("lift", str(banned["id"]))


def test_tokens_are_revoked_and_an_account_is_erased(
    server: ServerProcess, store: str, admin: Admin
) -> None:
    token = issue("Eve 4", secret_of(replace(Settings(), store=store)))
    with connect(server.url) as eve:
        room = eve.main.login(None, {"token": token}).enter("tea4")
        room.say("a secret").result(DEADLINE)
        assert admin("revoke", "Eve 4")[0].endswith("places ended: 1.")
        assert eve.wait_closed(DEADLINE)
    assert admin("erase", "Eve 4", "--yes") == ["Erased."]
    assert not any("a secret" in line for line in admin("export", "tea4"))
    assert "Eve 4" not in {json.loads(line)["name"] for line in admin("people", "--json")}


def test_an_announcement_is_told(server: ServerProcess, admin: Admin) -> None:
    (receipt,) = map(json.loads, admin("announce", "tea at five", "--json"))
    assert receipt["id"] > 0


def test_what_cannot_be_done_is_a_sentence(server: ServerProcess, admin: Admin) -> None:
    with pytest.raises(StartError, match="nobody of the name"):
        admin("revoke", "Nobody 5")
    with pytest.raises(SettingError, match="--yes"):
        admin("erase", "Nobody 5")
    with pytest.raises(StartError, match="nobody of the name"):
        admin("erase", "Nobody 5", "--yes")
    with pytest.raises(StartError, match="--url"):
        admin("people", "--port", "1")
    with pytest.raises(StartError, match="--token"):
        admin("people", "--token", "x.y.z")


def test_it_is_a_process_that_watches_until_it_is_interrupted(
    server: ServerProcess, store: str, start_process: StartProcess
) -> None:
    with guest(server, "Bob 6", "tea6"):
        watching = start_process(
            *(sys.executable, "-m", "chatserver", "admin", "watch", "--every", "0.1"),
            *("--store", store, "--port", str(server.address[1])),
            ready="Bob 6",
        )
        wait_until(lambda: sum(line.startswith("Bob 6 ") for line in watching.lines) > 1)
        watching.signal(signal.SIGINT)
        assert watching.wait() == 0
        assert watching.error_lines == []
        assert any(line.startswith("tea6 ") for line in watching.lines)


# ---- Parts


def test_the_server_is_where_its_settings_say() -> None:
    settings = Settings()
    assert url_of(settings) == "ws://127.0.0.1:8080/rpc/ws"
    assert url_of(replace(settings, host="0.0.0.0", port=80)) == "ws://127.0.0.1:80/rpc/ws"
    assert url_of(replace(settings, host="::")) == "ws://[::1]:8080/rpc/ws"


def test_a_table_is_aligned_and_harmless() -> None:
    rows: list[dict[str, Any]] = [{"name": "茶", "n": 1}, {"name": "\x1b[2J\u202e", "n": None}]
    wide = len("\\x1b[2J\\u202e")
    assert table(("name", "n"), rows) == [
        f"{'NAME':{wide}}  N",
        f"{'茶':{wide - 1}}  1",
        "\\x1b[2J\\u202e  -",
    ]
