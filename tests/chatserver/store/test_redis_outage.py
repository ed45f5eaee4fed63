"""Redis is away, slow, empty, or has lost its end: nothing that was answered is lost silently."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import gevent
import pytest
import redis
from gevent.event import Event as Signal

import chatserver.store.redis
from chatserver import loop
from chatserver.errors import NameTaken, StartError, Unavailable
from chatserver.store import open_store
from chatserver.store.interface import Store
from chatserver.store.redis import RedisStore, operations
from chatserver.store.redis.connection import RedisConnection
from chatserver.store.redis.scripts import TAIL
from chatserver.store.refusals import not_readable, not_written
from chatserver.store.values import LogReset, Lost
from tests.chatserver.greenlets import eventually, outcome
from tests.chatserver.store.chat import claim, events, say, tick, told
from tests.processes import Processes, free_port, wait_until
from tests.proxy.proxy import Proxy
from tests.redis_server import ON_DISK, RedisServer

TIMEOUT_SECONDS = 0.4
"""Of operations, where one is to time out."""


@pytest.fixture
def open_store_at(redis_url: str) -> Iterator[Callable[[str], Store]]:
    """Open a worker's store; closed when the test is over."""
    opened: list[Store] = []

    def open_it(url: str) -> Store:
        opened.append(open_store(url))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def start_redis(processes: Processes, tmp_path: Path) -> Callable[..., RedisServer]:
    """Start a Redis of this test's own; another one with its port finds its data."""

    def start(*options: str, port: int | None = None) -> RedisServer:
        return processes.add(RedisServer(tmp_path, *options, port=port))

    return start


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """Something between the store and Redis that can be told to fail."""
    port = urlsplit(redis_url).port
    assert port is not None
    with Proxy(("127.0.0.1", port)) as proxy:
        yield proxy


@pytest.fixture
def cut_off(proxy: Proxy, open_store_at: Callable[[str], Store]) -> Store:
    """A store behind the proxy."""
    port = urlsplit(proxy.url).port
    return open_store_at(f"redis://127.0.0.1:{port}/0?timeout={TIMEOUT_SECONDS}")


@pytest.fixture
def direct(redis_url: str, open_store_at: Callable[[str], Store]) -> Store:
    """Another worker's store, without a proxy."""
    return open_store_at(redis_url)


def test_while_redis_is_away_writes_fail_in_time_and_afterwards_all_goes_on(
    proxy: Proxy, cut_off: Store
) -> None:
    alice = claim(cut_off, "Alice")
    proxy.go_down()
    started = time.monotonic()

    with pytest.raises(Unavailable, match=str(not_written())):
        say(cut_off, alice, "lost")
    with pytest.raises(Unavailable, match=str(not_readable())):
        events(cut_off)
    with pytest.raises(Unavailable):
        cut_off.follow(1, 5)

    assert time.monotonic() - started < 3 * TIMEOUT_SECONDS + 1
    available_meanwhile = cut_off.available
    proxy.come_up()
    assert say(cut_off, alice, "heard").id == 2
    assert (available_meanwhile, cut_off.available) == (False, True)
    assert [event.text for event in cut_off.follow(1, 5).events] == ["heard"]


def test_what_was_asked_while_redis_was_away_for_a_moment_is_answered(
    proxy: Proxy, cut_off: Store
) -> None:
    alice = claim(cut_off, "Alice")
    proxy.go_down()
    futures = [cut_off.append(alice.claim, str(number)) for number in range(3)]
    gevent.sleep(TIMEOUT_SECONDS / 2)
    proxy.come_up()

    assert [outcome(future).id for future in futures] == [2, 3, 4]


def test_when_the_answer_is_lost_on_its_way_it_is_asked_for_again_and_stored_once(
    proxy: Proxy, cut_off: Store, direct: Store
) -> None:
    alice = claim(cut_off, "Alice")
    proxy.mute = True
    future = cut_off.append(alice.claim, "once")
    eventually(lambda: len(events(direct)) == 2)
    proxy.mute = False
    proxy.cut_all()

    assert outcome(future).id == 2
    assert told(direct) == ["Alice joined the chat", "once"]


def test_a_claim_that_is_answered_too_late_holds_nothing(
    proxy: Proxy, cut_off: Store, direct: Store
) -> None:
    proxy.mute = True
    with pytest.raises(Unavailable):
        claim(cut_off, "Alice")
    assert direct.names() == ["Alice"]
    proxy.mute = False
    proxy.cut_all()

    eventually(lambda: direct.names() == [])
    assert claim(cut_off, "Alice").name == "Alice"


def test_a_takeover_that_is_answered_too_late_leaves_the_name_waiting(
    proxy: Proxy, cut_off: Store, direct: Store
) -> None:
    secret = claim(direct, "Alice").claim.secret
    proxy.mute = True
    with pytest.raises(Unavailable):
        claim(cut_off, "Alice", secret)
    proxy.mute = False
    proxy.cut_all()
    tick(cut_off)

    with pytest.raises(NameTaken):
        claim(cut_off, "Alice")
    assert say(cut_off, claim(cut_off, "Alice", secret), "back").id == 2


def test_a_stopped_redis_is_unavailable_in_time_and_what_it_does_later_keeps_the_order(
    start_redis: Callable[..., RedisServer], open_store_at: Callable[[str], Store]
) -> None:
    server = start_redis()
    store = open_store_at(f"{server.url}?timeout={TIMEOUT_SECONDS}")
    alice = claim(store, "Alice")
    server.signal(signal.SIGSTOP)
    started = time.monotonic()

    with pytest.raises(Unavailable):
        say(store, alice, "perhaps")
    with pytest.raises(Unavailable):
        store.read()
    assert time.monotonic() - started < 4 * TIMEOUT_SECONDS + 1
    server.signal(signal.SIGCONT)

    say(store, alice, "certainly")
    assert told(store) in (
        ["Alice joined the chat", "certainly"],
        ["Alice joined the chat", "perhaps", "certainly"],
    )


def test_nothing_that_was_answered_is_lost_or_doubled_when_redis_is_killed(
    start_redis: Callable[..., RedisServer], open_store_at: Callable[[str], Store]
) -> None:
    server = start_redis(*ON_DISK)
    stores = [open_store_at(server.url) for _ in range(2)]
    answered: dict[int, str] = {}
    heard: list[tuple[int, str]] = []
    stop = False

    def send(store: Store, name: str) -> None:
        member = claim(store, name)
        turn = 0
        while not stop:
            text = f"{name} {turn}"
            turn += 1
            answered[say(store, member, text).id] = text

    def follow(store: Store) -> None:
        while True:
            with suppress(Unavailable):
                tail = store.follow(len(heard), 1)
                heard.extend((event.id, event.text) for event in tail.events)
            gevent.sleep(0)

    def grown_to(messages: int) -> bool:
        return len(answered) >= messages

    senders = [gevent.spawn(send, stores[n % 2], f"member {n}") for n in range(20)]
    follower = gevent.spawn(follow, stores[0])
    for kills in range(2):
        eventually(partial(grown_to, (kills + 1) * 100))
        server.kill()
        server = start_redis(*ON_DISK, port=server.port)
    eventually(partial(grown_to, 300))
    stop = True
    gevent.joinall(senders, timeout=20, raise_error=True)
    eventually(lambda: len(heard) >= max(answered))
    follower.kill()

    assert [number for number, _ in heard] == list(range(1, len(heard) + 1))
    texts = dict(heard)
    assert {number: texts.get(number) for number in answered} == answered
    chat = [text for _, text in heard if "joined" not in text]
    assert len(chat) == len(set(chat))


def test_a_log_that_is_emptied_has_another_epoch_and_its_followers_hear_so(
    redis_url: str, open_store_at: Callable[[str], Store], redis_client: redis.Redis
) -> None:
    stores = [open_store_at(redis_url) for _ in range(2)]
    members = [claim(store, f"member {n}") for n, store in enumerate(stores)]
    for store, member in zip(stores, members, strict=True):
        say(store, member, "before")
    epoch = stores[0].epoch
    followers = [gevent.spawn(store.follow, 4, 20) for store in stores]
    gevent.sleep(0)

    redis_client.flushall()
    for store in stores:
        tick(store)

    for follower in followers:
        with pytest.raises(LogReset):
            follower.get(timeout=20)
    assert stores[0].epoch == stores[1].epoch != epoch
    assert stores[0].last_id == 0
    say(stores[1], claim(stores[1], "Carol"), "after")
    assert [event.id for event in stores[0].follow(0, 5).events] == [1, 2]


class Late:
    """A connection whose answers are late."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self.answered, self.let_through = Signal(), Signal()

    def run(self, *what: Any) -> Any:
        answer = self._connection.run(*what)
        self.answered.set()
        self.let_through.wait(20)
        return answer


def test_a_call_that_learns_late_that_the_log_began_anew_does_not_tell_it_again(
    redis_url: str, open_store_at: Callable[[str], Store], redis_client: redis.Redis
) -> None:
    store = open_store_at(redis_url)
    assert isinstance(store, RedisStore)
    claim(store, "Alice")
    redis_client.flushall()
    connection: Any = Late(store._address.connection())
    late = gevent.spawn(store._call, connection, 0)
    connection.answered.wait(20)
    with pytest.raises(LogReset):
        store._call(store._address.connection(), 0)
    with pytest.raises(LogReset):
        store.follow(1, 5)

    connection.let_through.set()
    late.join(20)

    assert isinstance(late.exception, LogReset)
    assert not hears_of_reset(store, 0)


def test_the_new_log_is_not_taken_for_the_old_one_however_fast_it_grows(
    redis_url: str, open_store_at: Callable[[str], Store], redis_client: redis.Redis
) -> None:
    here, there = (open_store_at(redis_url) for _ in range(2))
    claim(here, "Alice")
    follower = gevent.spawn(here.follow, 1, 20)
    gevent.sleep(0.05)

    redis_client.flushall()
    say(there, claim(there, "Bob"), "another second event")

    with pytest.raises(LogReset):
        follower.get(timeout=20)


def hears_of_reset(store: Store, after: int) -> bool:
    """Whether the follower is told that the log began anew."""
    try:
        store.follow(after, 0)
    except LogReset:
        return True
    except Unavailable:
        pass  # Its connection was to the server that is gone.
    return False


@pytest.mark.parametrize("grown", [False, True])
def test_a_log_that_comes_back_without_its_end_has_another_epoch(
    start_redis: Callable[..., RedisServer],
    open_store_at: Callable[[str], Store],
    grown: bool,
) -> None:
    server = start_redis()
    store = open_store_at(server.url)
    alice = claim(store, "Alice")
    say(store, alice, "saved")
    with redis.Redis.from_url(server.url) as client:
        client.save()
    say(store, alice, "lost")
    assert len(store.follow(0, 1).events) == 3
    epoch = store.epoch
    server.kill()
    server = start_redis(port=server.port)
    newest = 2
    if grown:
        other = open_store_at(server.url)
        bob = claim(other, "Bob")
        newest = max(say(other, bob, str(number)).id for number in range(3))

    eventually(lambda: hears_of_reset(store, 3))
    assert say(store, alice, "again").id == newest + 1
    assert store.epoch != epoch
    assert open_store_at(server.url).epoch == store.epoch


def test_a_follower_from_under_which_the_log_was_trimmed_is_told(
    redis_url: str, open_store_at: Callable[[str], Store], redis_client: redis.Redis
) -> None:
    store = open_store_at(redis_url)
    alice = claim(store, "Alice")
    for number in range(5):
        say(store, alice, str(number))
    redis_client.xtrim(TAIL, minid="4-0", approximate=False)

    with pytest.raises(LogReset):
        store.follow(1, 1)


def test_who_lost_a_name_is_told_before_the_reset_that_sends_all_others_away(
    redis_url: str, open_store_at: Callable[[str], Store], redis_client: redis.Redis
) -> None:
    store = open_store_at(redis_url)
    alice = claim(store, "Alice")
    for number in range(5):
        say(store, alice, str(number))
    claim(store, "Alice", alice.claim.secret)
    redis_client.xtrim(TAIL, minid="4-0", approximate=False)

    news = store.follow(1, 1)

    assert (news.events, news.lost) == ([], [Lost(alice.claim.holder, "taken_over")])
    with pytest.raises(LogReset):
        store.follow(1, 1)


def test_what_nobody_foresaw_fails_one_batch_and_not_all_that_follow(
    direct: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PAUSE_SECONDS", 0.01)
    with monkeypatch.context() as failing:
        failing.setattr(RedisConnection, "run", Mock(side_effect=ZeroDivisionError))
        with pytest.raises(Unavailable):
            claim(direct, "Alice")

    assert claim(direct, "Alice").name == "Alice"


def test_an_answer_that_is_not_understood_is_an_error_of_its_own_call(
    direct: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as failing:
        failing.setattr(operations, "_joined", Mock(side_effect=ValueError("of another version")))
        joined = direct.claim("alice", "Alice", "holder", None)
        due = direct.tick()
        with pytest.raises(ValueError, match="version"):
            outcome(joined)

    assert outcome(due) > 0


def test_a_script_that_redis_has_forgotten_is_sent_again(
    redis_url: str, open_store_at: Callable[[str], Store], redis_client: redis.Redis
) -> None:
    store = open_store_at(redis_url)
    alice = claim(store, "Alice")
    redis_client.script_flush()

    assert say(store, alice, "hello").id == 2


def test_more_readers_than_connections_are_all_answered(direct: Store) -> None:
    say(direct, claim(direct, "Alice"), "hello")

    readers = [gevent.spawn(direct.read) for _ in range(50)]

    assert {len(reader.get(timeout=20)) for reader in readers} == {2}


def test_user_password_and_socket_are_taken_from_the_url(
    start_redis: Callable[..., RedisServer], open_store_at: Callable[[str], Store], tmp_path: Path
) -> None:
    server = start_redis("--requirepass", "p@ss", "--unixsocket", f"{tmp_path}/socket")
    address = f"127.0.0.1:{server.port}"

    for url in (f"redis://default:p%40ss@{address}/0", f"unix://:p%40ss@{tmp_path}/socket?db=0"):
        assert open_store_at(url).counts() == (0, 0)
    for url in (f"redis://{address}/0", f"redis://:wrong@{address}/0"):
        with pytest.raises(StartError, match="password") as refused:
            open_store(url)
        assert "wrong@" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://host:nonsense/0", "redis://host/0?timeout=0", "redis://host/0?surprise=1"]
)
def test_a_url_that_does_not_fit_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(StartError, match="looks like redis://"):
        open_store(url)


def test_a_server_that_starts_waits_for_redis(
    start_redis: Callable[..., RedisServer], open_store_at: Callable[[str], Store]
) -> None:
    port = free_port()
    opening = gevent.spawn(open_store_at, f"redis://127.0.0.1:{port}/0")
    gevent.sleep(0)
    start_redis(port=port)

    assert opening.get(timeout=20).available


def test_a_server_that_finds_no_redis_says_so_in_one_sentence(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chatserver.store.redis, "START_SECONDS", 0.0)

    with pytest.raises(StartError, match="start Redis"):
        open_store(f"redis://:secret@127.0.0.1:{free_port()}/0")


def test_all_keys_are_on_one_node_of_a_cluster(
    start_redis: Callable[..., RedisServer], open_store_at: Callable[[str], Store]
) -> None:
    server = start_redis("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
    store = open_store_at(server.url)

    alice = claim(store, "Alice")
    claim(store, "Alice", alice.claim.secret)

    assert store.follow(0, 1).lost == [Lost(alice.claim.holder, "taken_over")]
