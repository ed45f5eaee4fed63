"""Files that are not, or not yet, for this server: one sentence for each, and never a new log in
the place of an old one."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import gevent
import pytest

from chatserver.errors import StartError
from chatserver.store import open_store
from chatserver.store.sqlite import ownership, schema
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import claim, events, say
from tests.chatserver.store.conftest import OpenStore
from tests.chatserver.store.sqlite.conftest import new_file


def test_the_write_ahead_log_gives_the_disk_back_after_another_program_has_read_for_long(
    open_at: OpenStore, path: Path, file: sqlite3.Connection
) -> None:
    wal = path.with_name(f"{path.name}-wal")
    store = open_at()
    alice = claim(store, "Alice")
    file.execute("BEGIN")
    file.execute("SELECT count(*) FROM event").fetchall()

    def write(megabytes: int) -> None:
        futures = [store.append(alice.claim, "x" * 4000) for _ in range(256 * megabytes)]
        for future in futures:
            outcome(future)

    write(8)
    while_held = wal.stat().st_size
    file.execute("COMMIT")
    write(1)
    say(store, alice, "a message more")

    assert while_held > 2 * schema.MAX_IDLE_WAL_BYTES
    assert wal.stat().st_size <= schema.MAX_IDLE_WAL_BYTES


def no_database(path: Path) -> None:
    path.write_text("Dear diary, this is no database at all.\n" * 100)


def torn(path: Path) -> None:
    new_file(path).close()
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    new_file(path).close()
    with path.open("r+b") as file:
        file.seek(100)  # behind the header
        file.write(b"\xff" * 4000)


def of_another_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE invoice (total)")


def of_another_application_that_says_so(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id=1234")


def newer(path: Path) -> None:
    with closing(new_file(path)) as connection:
        connection.execute(f"PRAGMA user_version={len(schema.MIGRATIONS) + 1}")


def lost_its_beginning(path: Path) -> None:
    path.with_name(f"{path.name}-wal").write_bytes(b"committed, but not in the file yet")


def a_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (no_database, "damaged"),
        (torn, "damaged"),
        (overwritten, "damaged"),
        (of_another_application, "another application"),
        (of_another_application_that_says_so, "another application"),
        (newer, "newer version"),
        (lost_its_beginning, "restore"),
        (a_directory, "names a directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason_and_left_as_it_is(
    url: str, path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""

    with pytest.raises(StartError, match=why) as refused:
        open_store(url)

    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("sqlite://chat.db", "sqlite:///relative.db"),
        ("sqlite:///", "sqlite:///relative.db"),
        ("sqlite:///chat.db#1", "sqlite:///relative.db"),
        ("sqlite:///chat.db?synchronous=off", "synchronous=full"),
        ("sqlite:///chat.db?sync=full", "synchronous=full"),
        ("sqlite:////nowhere/chat.db", "/nowhere/chat.db"),
        ("sqlite:////proc/chat.db", "/proc/chat.db"),
        ("sqlite3:///chat.db", "sqlite:///file.db"),
    ],
)
def test_a_url_that_names_no_usable_place_says_what_to_write(wrong: str, why: str) -> None:
    with pytest.raises(StartError, match=why):
        open_store(wrong)


def test_an_older_file_is_brought_up_to_date_and_keeps_what_it_has(
    open_at: OpenStore, file: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at()
    alice = claim(store, "Alice")
    say(store, alice, "said long ago")
    log = events(store)
    store.close()
    added = ("ALTER TABLE event ADD COLUMN colour TEXT", "ALTER TABLE event DROP COLUMN colour")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, added))

    store = open_at()

    assert events(store) == log
    assert schema.number(file, "PRAGMA user_version") == len(schema.MIGRATIONS)
    assert say(store, claim(store, "Alice", alice.claim.secret), "said today").id == 3


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    open_at: OpenStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at()
    claim(store, "Alice")
    log = events(store)
    store.close()
    with monkeypatch.context() as newer_version:
        broken = ("DELETE FROM event", "SELECT no_such_function()")
        newer_version.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        with pytest.raises(StartError, match="no_such_function"):
            open_store(url)

    assert events(open_at()) == log


def test_a_second_one_waits_for_the_first_and_says_so_at_once(
    open_at: OpenStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = open_at()
    say(first, claim(first, "Alice"), "hello")
    second = gevent.spawn(open_at)
    gevent.sleep(0)
    assert "uses the database; waiting" in caplog.text

    first.close()

    store = second.get(timeout=20)
    assert [event.text for event in events(store)][-1] == "hello"
    assert store.names() == ["Alice"]


def test_a_second_one_that_has_waited_in_vain_names_the_file_and_both_remedies(
    open_at: OpenStore, url: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_at()
    monkeypatch.setattr(ownership, "WAIT_SECONDS", 0.01)

    with pytest.raises(StartError) as refused:
        open_store(url)

    for part in (str(path), "stop that one", "--store redis://"):
        assert part in str(refused.value)
    assert claim(first, "Alice").online == 1


def test_the_same_file_by_another_name_is_the_same(
    open_at: OpenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_at()
    link = path.with_name("link.db")
    link.symlink_to(path)
    monkeypatch.setattr(ownership, "WAIT_SECONDS", 0.01)

    with pytest.raises(StartError, match="in use"):
        open_store(f"sqlite:///{link}")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks at open files in /proc")
def test_a_file_that_is_no_database_is_not_kept_open(path: Path) -> None:
    path.write_bytes(b"no database" * 1_000)

    with pytest.raises(sqlite3.DatabaseError) as raised:
        schema.connect(str(path), "FULL")

    assert not [fd for fd in Path("/proc/self/fd").iterdir() if fd.resolve() == path], raised


def test_a_backup_can_be_taken_from_a_running_server(
    open_at: OpenStore, file: sqlite3.Connection, tmp_path: Path
) -> None:
    store = open_at()
    say(store, claim(store, "Alice"), "hello")
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        file.backup(backup)

    with closing(open_store(f"sqlite:///{tmp_path}/backup.db")) as restored:
        assert events(restored)[:2] == events(store)


@pytest.mark.parametrize(
    ("written", "name"),
    [("chat.db", b"chat.db"), ("a%20%3F%23b", b"a ?#b"), ("%FF.db", b"\xff.db"), ("a b", b"a b")],
)
def test_the_file_is_the_one_that_the_url_names(tmp_path: Path, written: str, name: bytes) -> None:
    open_store(f"sqlite:///{tmp_path}/{written}").close()

    assert set(os.listdir(os.fsencode(tmp_path))) == {name, name + b".lock"}
