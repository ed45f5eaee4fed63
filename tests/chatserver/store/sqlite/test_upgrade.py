"""Files of the versions before rooms (1), before accounts (2) and before sanctions had ranks (3):
everything in these is the lobby's and of guests, and a copy is kept."""

import sqlite3
from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest

from chatserver.errors import BadRequest, Forbidden, StartError
from chatserver.store.events import Event
from chatserver.store.people_interface import PersonInfo
from chatserver.store.seats import Seat
from chatserver.store.sqlite import schema
from chatserver.store.values import digest_of, identity_of
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import claim, come, say, tick
from tests.chatserver.store.conftest import Clock, OpenStore

SECRET = "a secret of before"
EVENTS = [
    (1, "join", "Alice", "Alice joined the chat", 1000, '["Alice"]', 1, 0),
    (2, "chat", "Alice", "hello", 2000, None, 0, 1),
    (3, "chat", "Alice", "again", 3000, None, 0, 2),
    (4, "leave", "Bob", "Bob left the chat", 4000, '["Bob"]', 1, 2),
]


@pytest.fixture(params=[1, 2, 3])
def version(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def old(path: Path, clock: Clock, version: int) -> Path:
    """A file as that version left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        for statement in schema.MIGRATIONS[0]:
            file.execute(statement)
        file.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
        file.execute("UPDATE log SET epoch = 'before'")
        file.executemany("INSERT INTO event VALUES (?,?,?,?,?,?,?,?)", EVENTS)
        digests = digest_of(SECRET, "key"), digest_of("again")
        file.execute("INSERT INTO sent VALUES (3, ?, ?, ?)", (*digests, clock.now))
        holding = ("alice", 1, "Alice", SECRET, "worker.1")
        file.execute("INSERT INTO holding VALUES (?,?,?,?,?,NULL)", holding)
        file.execute("INSERT INTO notice VALUES (1, 'join', 'carol', 'Carol')")
        file.create_function("identity_of", 1, identity_of, deterministic=True)
        for statement in chain.from_iterable(schema.MIGRATIONS[1:version]):
            file.execute(statement)
        if version == 3:
            mute = (1, "mute", "lobby", identity_of(SECRET), "", "Alice", "Mod", "", 0, None)
            file.execute("INSERT INTO sanction VALUES (?,?,?,?,?,?,?,?,?,?)", mute)
        file.execute(f"PRAGMA user_version={version}")
    return path


def test_everything_is_the_lobbys(open_at: OpenStore, old: Path) -> None:
    store = open_at()

    joined = claim(store, "Alice", SECRET)

    by = identity_of(SECRET)
    assert (store.epoch, joined.last_id) == ("before", 4)
    assert (joined.claim.by, joined.seats) == (by, (Seat("lobby", 0),))
    assert store.names() == ["Alice"]
    assert store.counts().messages == 2
    assert [(e.id, e.text, e.room, e.prev, e.number) for e in store.read()][:4] == [
        (number, text, "lobby", number - 1, said) for number, _, _, text, _, _, _, said in EVENTS
    ]
    tick(store)
    assert [event.text for event in store.read()][4:] == ["Carol joined the chat"]
    assert store.room(by, joined.seats[0]).unread == 0
    assert store.everyone(None, 9) == [PersonInfo("Alice", None, True, 1)]


@pytest.mark.parametrize("version", [1, 2])
def test_what_was_sent_is_still_known(open_at: OpenStore, old: Path) -> None:
    store = open_at()
    alice = claim(store, "Alice", SECRET)

    assert say(store, alice, "again", "key").id == 3
    with pytest.raises(BadRequest):
        say(store, alice, "something else", "key")


@pytest.mark.parametrize("version", [3])
def test_what_was_decided_before_there_were_ranks_moderators_lift(
    open_at: OpenStore, old: Path
) -> None:
    store = open_at()
    alice, mod = claim(store, "Alice", SECRET), come(store, "Mod", "moderator")
    with pytest.raises(Forbidden):
        say(store, alice, "hello")

    outcome(store.lift(mod.claim, "lobby", "moderator", 1))

    say(store, alice, "hello")


def test_a_copy_is_kept_as_it_was(open_at: OpenStore, old: Path, version: int) -> None:
    open_at().close()

    said = "said" if version == 1 else "number"
    with closing(sqlite3.connect(f"{old}.format-{version}")) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (version,)
        query = f"SELECT id, type, user, text, time_ms, users, count, {said} FROM event"
        assert copy.execute(query).fetchall() == EVENTS
        columns = "key, number, name, secret, holder, until"
        holding = ("alice", 1, "Alice", SECRET, "worker.1", None)
        assert copy.execute(f"SELECT {columns} FROM holding").fetchall() == [holding]
    assert [path.name for path in old.parent.glob("*.unfinished")] == []


def test_where_no_copy_can_be_made_nothing_is_changed(
    open_at: OpenStore, old: Path, version: int
) -> None:
    Path(f"{old}.format-{version}.unfinished").mkdir()

    with pytest.raises(StartError, match="make room"):
        open_at()

    with closing(sqlite3.connect(old)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (version,)


def test_a_new_file_has_no_copy(open_at: OpenStore, path: Path) -> None:
    store = open_at()
    assert store.read() == list[Event]()
    assert list(path.parent.glob("*.format-*")) == []
