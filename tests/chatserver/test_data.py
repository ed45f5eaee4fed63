"""What is done with what is stored: copied while it is in use, and looked at."""

import sqlite3
import sys
from contextlib import closing
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from chatserver.data import run_data_command
from chatserver.errors import StartError
from chatserver.store.check import Summary, findings
from chatserver.store.copies import new_file
from chatserver.store.interface import Policy, system_clock
from chatserver.store.sqlite.backup import back_up
from chatserver.store.sqlite.contents import SqliteContents
from chatserver.store.sqlite.schema import connect as open_file
from chatserver.store.sqlite.snapshot import snapshot
from chatserver.store.sqlite.writer import Writer
from chatserver.store.values import Account
from tests.chatserver.conftest import Connect
from tests.chatserver.test_process import run
from tests.conftest import StartProcess, StartServer
from tests.processes import Processes
from tests.redis_server import RedisServer, require_redis


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


def rows(path: Path, table: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def epoch_of(path: Path) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT epoch FROM log").fetchone()[0]


def test_a_copy_that_is_made_under_load_is_a_prefix_of_the_log_and_goes_on_as_one_of_its_own(
    start_process: StartProcess,
    start_server: StartServer,
    connect: Connect,
    path: Path,
    full: bool,
) -> None:
    torrent = start_process(sys.executable, "-m", "tests.chatserver.torrent", f"sqlite:///{path}")
    copies = []
    for number in range(50 if full else 2):
        answered = int(torrent.wait_for_line("^[0-9]+", after=len(torrent.lines))[0])
        copies.append(path.with_name(f"copy{number}.db"))

        with new_file(str(copies[-1])) as unfinished:
            newest = back_up(f"sqlite:///{path}", unfinished)

        assert newest > answered
    torrent.wait_for_line("answered", after=len(torrent.lines))
    assert torrent.terminate() == 0

    log, keys = rows(path, "event"), rows(path, "sent")
    assert check(path) == []
    for copy in copies:
        copied = rows(copy, "event")
        assert copied == log[: len(copied)]
        assert rows(copy, "sent") == [key for key in keys if key[0] <= len(copied)]
        assert check(copy) == []
        # Whoever was told of events that the copy has not must see that it is another log.
        assert epoch_of(copy) != epoch_of(path)
    files = sorted(file.name for file in path.parent.iterdir())
    assert files == ["chat.db", "chat.db.lock", *sorted(copy.name for copy in copies)]

    last_id = len(rows(copies[0], "event"))
    restored = start_server("--store", f"sqlite:///{copies[0]}", "--grace", "60")
    dave = connect(restored.url)
    assert dave.join("Dave")["lastId"] == last_id
    assert dave.call("listUsers") == ["Alice", "Dave"]
    assert dave.say("Dave", "hello") > last_id


def test_the_commands_say_what_they_did_and_found(path: Path) -> None:
    make_log(path)
    copy, store = path.with_name("copy.db"), f"sqlite:///{path}"

    made = run("backup", str(copy), "--store", store)
    checked = run("check", env={"CHAT_STORE": store})

    assert (made.returncode, made.stderr) == (checked.returncode, checked.stderr) == (0, "")
    assert made.stdout == f"{copy} has everything up to event 3.\n"
    assert checked.stdout == (
        f"{store}: ids 1 to 3; 3 events, 1 rooms, 1 accounts, 3 names, 2 seats, 1 keys,"
        " 1 sanctions; all that must hold holds.\n"
    )


def test_a_copy_replaces_nothing(path: Path) -> None:
    make_log(path)
    copy = path.with_name("copy.db")
    copy.write_text("precious")

    with pytest.raises(StartError, match="is there already"):
        run_data_command(["backup", str(copy), "--store", f"sqlite:///{path}"])

    assert copy.read_text() == "precious"
    assert sorted(path.parent.glob("copy*")) == [copy]


def test_what_is_not_there_is_not_imported(path: Path) -> None:
    ended = run("import", str(path.with_suffix(".jsonl")), "--store", f"sqlite:///{path}")

    assert ended.stderr == f"chatserver: There is no file {path.with_suffix('.jsonl')}.\n"
    assert (ended.stdout, ended.returncode, path.exists()) == ("", 1, False)


def test_of_no_database_there_is_no_copy(path: Path) -> None:
    copy = path.with_name("copy.db")

    with pytest.raises(StartError, match="unable to open database file"):
        run_data_command(["backup", str(copy), "--store", f"sqlite:///{path}"])

    assert list(path.parent.iterdir()) == []


def test_a_chat_moves_from_sqlite_to_redis_and_nobody_misses_anything(
    start_server: StartServer, connect: Connect, path: Path, processes: Processes, tmp_path: Path
) -> None:
    require_redis()
    small, file = f"sqlite:///{path}", str(tmp_path / "chat.jsonl")
    server = start_server("--store", small)
    alice, bob = connect(server.url), connect(server.url)
    first = alice.join("Alice")
    bob.join("Bob")
    alice.wait_for("Bob joined the chat")
    said = alice.call("sendMessage", "Alice", "hello", {"key": "k"})
    bob.say("Bob", "how are you?")
    assert server.terminate() == 0
    large = processes.add(RedisServer(tmp_path)).url

    assert run_data_command(["export", file, "--store", small]) == 0
    assert run_data_command(["import", file, "--store", large]) == 0
    assert run_data_command(["check", "--store", large]) == 0

    server = start_server("--store", large)
    alice = connect(server.url)
    known = {part: first[part] for part in ("resume", "epoch")}
    again = alice.join("Alice", known | {"since": said["id"]})
    assert again["recovered"] is True
    alice.wait_for("how are you?")
    assert alice.texts == ["how are you?"]
    assert alice.call("sendMessage", "Alice", "hello", {"key": "k"}) == said


def test_redis_makes_its_own_copies(path: Path) -> None:
    with pytest.raises(StartError, match="BGSAVE"):
        run_data_command(["backup", str(path), "--store", "redis://127.0.0.1/0"])


def make_log(path: Path) -> None:
    """A log with a bit of all that there is: Alice is there, Bob has left and waits, Carol has not
    been told of; Alice's second message has a key. Boss has an account, and has banned an
    address."""
    writer = Writer(str(path), Policy(), system_clock, partial(open_file, str(path), "normal"))
    writer.open()

    def do(operation: str, *arguments: Any) -> Any:
        written = writer.write(
            [lambda state, now: attrgetter(operation)(state)(now, *arguments)], False
        )
        (answer,) = written.answers
        return answer

    alice = do("claim", "alice", "Alice", "holder 1", None, True, None, "").claim
    bob = do("claim", "bob", "Bob", "holder 2", None, True, None, "digest").claim
    do("append", alice, "hello", None)
    do("append", alice, "hello again", "key")
    do("suspend", bob)
    account = Account("Boss", "admin")
    boss = do("claim", "boss", "Boss", "holder 3", None, False, account, "").claim
    do("moderation.ban_address", boss, "admin", "another digest", "192.0.2.7", None, "ads")
    writer.close()


def check(path: Path) -> list[str]:
    with snapshot(f"sqlite:///{path}") as connection:
        return list(findings(SqliteContents(connection), Summary()))


def test_nothing_is_found_where_all_holds(path: Path) -> None:
    make_log(path)

    assert check(path) == []


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        ("DELETE FROM event WHERE id = 2", "Event 3 says that 2 is before it, and 1 is"),
        ("DELETE FROM event WHERE id = 3", "event 3, which is not there yet"),
        ("UPDATE event SET number = 7 WHERE id = 3", "Event 3 counts 7 messages"),
        ("UPDATE event SET type = 'topic', text = '' WHERE id = 2", "Event 2 counts 1 messages"),
        ("UPDATE event SET room = 9 WHERE id = 2", "Event 3 says that 2 is before it, and 1 is"),
        ("UPDATE event SET prev = 5 WHERE id = 3", "Event 3 says that 5 is before it, and 2 is"),
        ("UPDATE event SET text = '' WHERE id = 2", "Event 2 has no text, or was removed"),
        ("UPDATE event SET removed = 1 WHERE id = 2", "Event 2 has no text, or was removed"),
        ("UPDATE event SET count = 2 WHERE id = 2", "Event 2 is of the type chat, and lists"),
        ("UPDATE event SET count = 0 WHERE id = 1", "Event 1 tells of 0 and lists 1"),
        ("UPDATE event SET text = 'Bob left' WHERE id = 1", "Event 1 tells of others than it"),
        ("UPDATE event SET time_ms = -1 WHERE id = 2", "Event 2 is dated -1"),
        ("UPDATE event SET reply_to = 3 WHERE id = 2", "Event 2 is a reply to 3"),
        ("UPDATE event SET time_ms = 5 WHERE id = 3", "event 3, whose time is another"),
        ("UPDATE sent SET id = 9", "event 9, which is not there yet"),
        ("UPDATE holding SET secret = '' WHERE key = 'bob'", "The name 'Bob' has no key, no name"),
        ("UPDATE holding SET number = 1", "The name 'Bob' has its number, its place or its"),
        ("UPDATE holding SET place = 11 WHERE place = 1", "The name 'Boss' is a guest's and an"),
        ("UPDATE account SET key = 'bob'", "The name 'Bob' is a guest's and an account's"),
        ("UPDATE account SET role = 'king'", "The account 'Boss' has no key, no name, no subject"),
        ("UPDATE sanction SET kind = 'fine'", "The sanction 1 is against nobody, or of no kind"),
        ("UPDATE sanction SET address = ''", "The sanction 1 is against nobody"),
        ("UPDATE sanction SET rank = 0", "The sanction 1 was decided by somebody of no rank: 0"),
        ("UPDATE sanction SET room = '@x'", "The sanction 1 is in the room '@x', where there"),
        ("INSERT INTO erased VALUES ('', 0)", "An account was erased that was nobody's"),
        ("UPDATE log SET last_sanction = 0", "The sanction 1 has another one's number, or one"),
        ("UPDATE room SET name = 'cats'", "There is no lobby"),
        ("UPDATE seat SET read = 9 WHERE name = 'Bob'", "'Bob' sits in room 1 since, or has read"),
        ("UPDATE seat SET room = 9 WHERE name = 'Bob'", "'Bob' sits in room 9, which is not"),
        ("INSERT INTO reaction VALUES (1, '+', 'b', 'B')", "reacted to 1, which is no message"),
        ("INSERT INTO pass VALUES ('d', 1, 0, NULL)", "into room 1, which is no private one"),
        ("INSERT INTO reacted VALUES (7, 1)", "Reactions to 7 are to be told in room 1"),
        ("UPDATE notice SET name = ''", "tells of nothing"),
        ("UPDATE notice SET room = 4", "where nobody joins or leaves"),
        ("UPDATE log SET epoch = ''", "The log has no epoch"),
    ],
)
def test_what_does_not_hold_is_found(path: Path, spoil: str, found: str) -> None:
    make_log(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(spoil).rowcount > 0

    assert any(found in each for each in check(path)), check(path)


def test_a_file_that_was_written_over_is_told_of(path: Path) -> None:
    make_log(path)
    whole = path.read_bytes()
    # The end of the second page, where the first of the log's rows stand.
    path.write_bytes(whole[:8100] + bytes(92) + whole[8192:])

    assert any("damaged" in each for each in check(path))


def test_a_file_that_is_torn_is_told_of(path: Path) -> None:
    make_log(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(StartError, match="is damaged"):
        check(path)
