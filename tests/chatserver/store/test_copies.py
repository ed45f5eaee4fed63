"""A whole store as a file, and a store of that file: of either engine, without a difference."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import gevent.socket
import pytest
import redis
import redis.connection
from hypothesis import given, settings
from hypothesis import strategies as st

from chatserver.errors import Banned, ChatError, StartError, Unauthorized
from chatserver.people.names import check_name
from chatserver.people.token_terms import Role
from chatserver.store import open_store
from chatserver.store.check import Summary, findings
from chatserver.store.contents import AnyRecord, Head
from chatserver.store.copies import contents_of, make_of, new_file
from chatserver.store.interface import Policy, Store
from chatserver.store.lines import FileContents, write_lines
from chatserver.store.redis import contents as in_redis
from chatserver.store.seats import EVERYWHERE, LOBBY, Seat
from chatserver.store.values import Account, Joined, identity_of
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.conftest import Clock
from tests.redis_server import RedisServer

NAMES = ("Alice", "Bob", "Carol", "Dave")
ROOMS = ("gardening", "cats")
ADMIN = "Dave"
"""Who has an account."""

EMOJI = ("👍", "🐈", "🌱")

DAY_SECONDS = 24 * 60 * 60

_numbers = count(1)


@pytest.fixture(autouse=True, scope="module")
def on_this_loop() -> Iterator[None]:
    """As in the server, which gevent patches as a whole; and nobody waits for a server that is not
    there."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(redis.connection, "socket", gevent.socket)
        patched.setattr(in_redis, "IN_USE_SECONDS", 0.0)
        yield


class Life:
    """What happens in a chat: each step is a number, whose digits say who does what where."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._here: dict[str, Joined] = {}
        self._secrets: dict[str, str] = {}
        self._seats: list[tuple[str, Seat]] = []
        self._messages: list[tuple[str, Seat, int]] = []

    def step(self, what: int, who: int, which: int) -> None:
        """Do one thing; what is refused has changed nothing, which is as good."""
        self._clock.advance(0.1 * (which % 5))
        name = NAMES[who % len(NAMES)]
        if name not in self._here:
            self._come(name)
            return
        steps = (
            self._say,
            self._say,
            self._enter,
            self._open,
            self._direct,
            self._edit,
            self._edit,
            self._remove,
            self._react,
            self._react,
            self._leave_room,
            self._little,
            self._moderate,
            self._go,
        )
        try:
            steps[what % len(steps)](name, which)
        except ChatError:
            pass

    def _come(self, name: str) -> None:
        holder = f"holder {next(_numbers)}"
        secret = self._secrets.get(name)
        account = Account(name, "admin") if name == ADMIN else None
        claiming = self._store.claim(
            check_name(name).key, name, holder, secret, account=account, address=f"of {name}"
        )
        try:
            joined = outcome(claiming)
        except Banned:
            return
        self._here[name] = joined
        self._secrets[name] = joined.claim.secret
        self._seats += [(name, seat) for seat in joined.seats[:1]]

    def _seat(self, name: str, which: int) -> Seat:
        mine = [seat for whose, seat in self._seats if whose == name]
        return mine[which % len(mine)]

    def _say(self, name: str, which: int) -> None:
        seat = self._seat(name, which)
        key = None if which % 3 else f"key {next(_numbers)}"
        receipt = outcome(self._store.say(self._here[name].claim, seat, f"text {which}", key, 0))
        self._messages.append((name, seat, receipt.id))

    def _enter(self, name: str, which: int) -> None:
        room = ROOMS[which % len(ROOMS)]
        self._seats.append((name, outcome(self._store.enter(self._here[name].claim, room))))

    def _open(self, name: str, which: int) -> None:
        room = f"+{next(_numbers):032x}"
        seat = outcome(
            self._store.open_room(self._here[name].claim, room, "Ours", "", which % 2 == 0)
        )
        self._seats.append((name, seat))
        outcome(
            self._store.create_pass(self._here[name].claim, seat, f"{next(_numbers):08x}", 7, None)
        )

    def _direct(self, name: str, which: int) -> None:
        key = check_name(NAMES[which % len(NAMES)]).key
        room = f"@{next(_numbers):032x}"
        self._seats.append((name, outcome(self._store.direct(self._here[name].claim, key, room))))

    def _message(self, which: int, name: str = "") -> tuple[Seat, int]:
        """One of those that were said, by this person if there is a name."""
        found = [(seat, at) for whose, seat, at in self._messages if name in ("", whose)]
        return found[which % len(found)] if found else (Seat("", 0), 0)

    def _edit(self, name: str, which: int) -> None:
        seat, message = self._message(which, name)
        outcome(self._store.edit(self._here[name].claim, seat, message, f"edited {which}"))

    def _remove(self, name: str, which: int) -> None:
        seat, message = self._message(which, name)
        outcome(self._store.remove(self._here[name].claim, seat, message))

    def _react(self, name: str, which: int) -> None:
        seat, message = self._message(which)
        mine = Seat(seat.room, self._seat_in(name, seat.room))
        emoji = EMOJI[which % len(EMOJI)]
        outcome(self._store.react(self._here[name].claim, mine, message, emoji, which % 4 > 0))

    def _seat_in(self, name: str, room: str) -> int:
        return next((s.number for n, s in reversed(self._seats) if (n, s.room) == (name, room)), 0)

    def _leave_room(self, name: str, which: int) -> None:
        outcome(self._store.leave_room(self._here[name].claim, self._seat(name, which)))

    def _little(self, name: str, which: int) -> None:
        claim, seat = self._here[name].claim, self._seat(name, which)
        match which % 4:
            case 0:
                outcome(self._store.block(claim, check_name(NAMES[which % 3]).key, True))
            case 1:
                outcome(self._store.mark_read(claim, seat, self._message(which)[1]))
            case 2:
                outcome(self._store.set_topic(claim, seat, f"topic {which}"))
            case _:
                outcome(self._store.tick())

    def _moderate(self, name: str, which: int) -> None:
        admin = self._here[ADMIN].claim if ADMIN in self._here else self._here[name].claim
        role: Role = "admin" if which % 5 else "moderator"
        key, room = check_name(NAMES[which % 3]).key, (LOBBY, EVERYWHERE, *ROOMS)[which % 4]
        match which % 6:
            case 0 | 1:
                outcome(self._store.mute(admin, room, role, key, which or None, "loud"))
            case 2:
                outcome(self._store.ban(admin, room, "admin", key, 2, "ads"))
            case 3:
                outcome(self._store.announce(admin, "admin", f"announcement {which}"))
            case 4:
                outcome(self._store.lift(admin, room, "admin", which // 6))
            case _:
                outcome(self._store.revoke(admin, "admin", check_name(ADMIN).key))

    def _go(self, name: str, which: int) -> None:
        claim = self._here.pop(name).claim
        outcome(self._store.release(claim) if which % 2 else self._store.suspend(claim))


def records(url: str) -> list[AnyRecord]:
    with contents_of(url) as contents:
        assert list(findings(contents, Summary())) == []
        return list(contents.records())


def export(url: str, path: Path) -> FileContents:
    with contents_of(url) as contents, new_file(str(path)) as name, open(name, "wb") as file:
        write_lines(contents.records(), file)
    return FileContents(str(path))


def emptied(server: RedisServer) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


steps = st.lists(
    st.tuples(st.integers(0, 13), st.integers(0, 3), st.integers(0, 60)), min_size=20, max_size=80
)


# A store that is closed as soon as it was opened leaves a socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_what_is_exported_and_imported_is_the_same_on_either_engine(
    engine: str,
    shared_redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
    full: bool,
) -> None:
    @settings(max_examples=100 if full else 8)
    @given(steps)
    def holds(steps: list[tuple[int, int, int]]) -> None:
        folder = tmp_path_factory.mktemp("copies")
        first = emptied(shared_redis) if engine == "redis" else f"sqlite:///{folder}/first.db"
        clock = Clock()
        store = open_store(first, Policy(), clock)
        life = Life(store, clock)
        for step in steps:
            life.step(*step)
        store.close()
        expected = records(first)

        file = export(first, folder / "first.jsonl")
        assert list(file.records()) == expected
        second = f"sqlite:///{folder}/second.db"
        make_of(file, second)
        assert records(second) == expected
        third = emptied(shared_redis)
        make_of(export(second, folder / "second.jsonl"), third)
        assert records(third) == expected
        for url in (second, third):
            go_on(url, clock, expected)

    holds()


def go_on(url: str, clock: Clock, expected: list[AnyRecord]) -> None:
    """The chat goes on there where it was."""
    head: Any = expected[0]
    store = open_store(url, Policy(), clock)
    assert (store.epoch, store.last_id) == (head.epoch, head.last_id)
    eve = outcome(store.claim("eve", "Eve", f"holder {next(_numbers)}", None))
    said = outcome(store.say(eve.claim, Seat(LOBBY, eve.seats[0].number), "hello", "k", 0))
    assert said.id > head.last_id
    clock.advance(60)
    outcome(store.tick())
    outcome(store.tick())
    assert store.names() == ["Eve"]
    store.close()
    assert records(url)[0] != head


@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_an_import_replaces_nothing(engine: str, shared_redis: RedisServer, tmp_path: Path) -> None:
    url = emptied(shared_redis) if engine == "redis" else f"sqlite:///{tmp_path}/chat.db"
    open_store(f"sqlite:///{tmp_path}/first.db").close()
    file = export(f"sqlite:///{tmp_path}/first.db", tmp_path / "first.jsonl")
    make_of(file, url)
    before = records(url)

    with pytest.raises(StartError, match="replace"):
        make_of(file, url)

    assert records(url) == before


def test_no_token_of_an_account_that_was_erased_is_good_in_copies_either(
    shared_redis: RedisServer, tmp_path: Path
) -> None:
    urls = [f"sqlite:///{tmp_path}/1.db", emptied(shared_redis), f"sqlite:///{tmp_path}/3.db"]
    store = open_store(urls[0])
    boss, ann = (
        outcome(store.claim(account.subject.lower(), "-", account.role, None, account=account))
        for account in (Account(ADMIN, "admin"), Account("Ann"))
    )
    assert outcome(store.erase(boss.claim, "admin", ann.claim.key, "")) == ""
    store.close()

    for number, (this, other) in enumerate(pairwise(urls)):
        make_of(export(this, tmp_path / f"{number}.jsonl"), other)
        assert records(other) == records(this)
        store = open_store(other)
        with pytest.raises(Unauthorized):
            outcome(store.claim("ann", "Ann", "again", None, account=Account("Ann", issued=1)))
        store.close()


@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_what_is_too_old_is_found_after_an_import(
    engine: str, shared_redis: RedisServer, tmp_path: Path
) -> None:
    clock = Clock()
    store = open_store(f"sqlite:///{tmp_path}/first.db", Policy(), clock)
    alice = outcome(store.claim("alice", "Alice", f"holder {next(_numbers)}", None))
    for text in ("old", "older than a day", "young"):
        said = outcome(store.append(alice.claim, text))
        clock.advance(DAY_SECONDS)
    store.close()
    url = emptied(shared_redis) if engine == "redis" else f"sqlite:///{tmp_path}/chat.db"
    make_of(export(f"sqlite:///{tmp_path}/first.db", tmp_path / "first.jsonl"), url)

    store = open_store(url, Policy(keep_days=1.5), clock)
    outcome(store.tick())

    assert [event.text for event in store.read()] == ["young"]
    assert store.last_id == said.id
    store.close()


def test_an_import_into_redis_that_was_interrupted_is_done_again(
    shared_redis: RedisServer, tmp_path: Path
) -> None:
    url = emptied(shared_redis)
    clock = Clock()
    store = open_store(f"sqlite:///{tmp_path}/first.db", Policy(), clock)
    life = Life(store, clock)
    for step in range(50):
        life.step(step, step % 3, step)
    store.close()
    file = export(f"sqlite:///{tmp_path}/first.db", tmp_path / "first.jsonl")
    whole = (tmp_path / "first.jsonl").read_bytes().splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(b"".join(whole[:-1]))
    with pytest.raises(StartError, match="is not whole"):
        make_of(FileContents(str(torn)), url)

    make_of(file, url)

    assert records(url) == list(file.records())


def test_a_store_in_use_is_not_read_from_redis(
    shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = emptied(shared_redis)
    store = open_store(url)

    def be_served(_: float) -> None:
        # Servers are known by when they called last, in milliseconds.
        until = time.monotonic() + 0.005
        while time.monotonic() < until:
            outcome(store.tick())

    monkeypatch.setattr("chatserver.store.redis.contents.time.sleep", be_served)

    with pytest.raises(StartError, match="is in use"):
        records(url)

    store.close()


HEAD = b'{"record":"log","format":1,"epoch":"e","first_id":1,"last_id":0,"last_ms":0}\n'


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (b"", "is not whole"),
        (b"{}\n", "line 1: "),
        (b"what?\n", "line 1: "),
        (b'{"record":"block","by":"a","key":"b"}\n', "does not begin as an exported log does"),
        (HEAD.replace(b'"format":1', b'"format":99'), "is of format 99"),
        (HEAD + b'{"record":"end","lines":2}\n', "is not whole"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, lines: bytes, sentence: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(lines)

    with pytest.raises(StartError, match=sentence):
        list(FileContents(str(path)).records())


BEFORE_ACCOUNTS = b"""\
{"record":"log","format":1,"epoch":"e","first_id":1,"last_id":1,"last_ms":5}
{"record":"name","number":1,"key":"alice","name":"Alice","secret":"the secret"}
{"record":"room","number":1,"name":"lobby","kind":"public","title":"lobby","topic":"","owner":"",\
"maker":"","everything":true,"last_id":1,"said":1}
{"record":"seat","room":1,"by":"%s","number":0,"name":"Alice","read":1}
{"record":"event","event":{"id":1,"type":"chat","user":"Alice","text":"hello","time_ms":5,\
"number":1}}
{"record":"end","lines":5}
""" % identity_of("the secret").encode()


def test_what_was_exported_before_there_were_accounts_can_be_imported(tmp_path: Path) -> None:
    path, url = tmp_path / "log.jsonl", f"sqlite:///{tmp_path}/chat.db"
    path.write_bytes(BEFORE_ACCOUNTS)

    make_of(FileContents(str(path)), url)

    assert isinstance(records(url)[0], Head)
    store = open_store(url)
    alice = outcome(store.claim("alice", "Alice", "holder", "the secret"))
    assert alice.seats == (Seat(LOBBY, 0),)
    assert [event.text for event in store.read()] == ["hello"]
    store.close()


CARRIED = {
    "event": "id type user text time_ms users count number room prev by target reply_to edited_ms"
    " removed more",
    "sent": "id digest text_digest time_ms",
    "holding": "key place number name by secret holder until address",
    "account": "key name subject role revoked by",
    "sanction": "number kind room by address name author reason time_ms until_ms rank",
    "notice": "number type key name room by",
    "log": "epoch opened last_sanction",
    "room": "number name kind title topic owner maker everything last_id said ended",
    "seat": "room by number name read",
    "pass": "digest room until_ms uses",
    "block": "by key",
    "erased": "by revoked",
    "reaction": "id emoji by name",
    "reacted": "id room",
}
"""What the records were made for. Who adds to the schema adds to the records of `contents`, to both
engines and to `check`, or says in `contents` why it is not carried over; and then here."""


def test_nothing_that_is_stored_is_forgotten(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/chat.db").close()
    with closing(sqlite3.connect(tmp_path / "chat.db")) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        columns = {
            table: " ".join(row[1] for row in database.execute(f"PRAGMA table_info({table})"))
            for (table,) in tables
        }

    assert columns == CARRIED
