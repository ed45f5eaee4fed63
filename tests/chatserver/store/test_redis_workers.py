"""Several workers on one Redis: for everyone it is the same chat."""

import sys
from collections.abc import Iterator
from contextlib import closing

import gevent
import pytest
import redis

from chatserver.errors import ClaimLost, NameTaken, Unavailable
from chatserver.store import open_store
from chatserver.store.interface import Policy, Store
from chatserver.store.redis import scripts
from chatserver.store.redis.connection import LEASE_SECONDS
from chatserver.store.redis.scripts import META
from chatserver.store.values import LogReset, Lost
from tests.chatserver.greenlets import eventually, outcome
from tests.chatserver.store.chat import claim, events, say, tick, told
from tests.chatserver.store.conftest import Clock, OpenStore
from tests.conftest import StartProcess

GRACE_SECONDS = Policy().grace_seconds


@pytest.fixture
def url(redis_url: str) -> str:
    return redis_url


@pytest.fixture
def here(open_at: OpenStore) -> Store:
    """A worker."""
    return open_at()


@pytest.fixture
def there(open_at: OpenStore) -> Store:
    """Another worker."""
    return open_at()


def test_of_two_claims_at_the_same_instant_one_wins_a_thousand_times(
    here: Store, there: Store
) -> None:
    claims = [
        [store.claim(f"name {n}", f"Name {n}", f"{id(store)}.{n}", None) for store in (here, there)]
        for n in range(1000)
    ]

    eventually(lambda: all(future.done() for pair in claims for future in pair))
    for pair in claims:
        assert [type(future.exception()) for future in pair].count(NameTaken) == 1
        assert [future.exception() for future in pair].count(None) == 1
    assert here.names() == there.names()


def test_each_worker_lists_and_counts_everyone_in_joining_order(here: Store, there: Store) -> None:
    members = [claim(store, name) for store, name in ((there, "B"), (here, "C"), (there, "A"))]
    for store, member in zip((there, here, there), members, strict=True):
        say(store, member, "hello")

    for store in (here, there):
        assert store.names() == ["B", "C", "A"]
        assert store.counts() == (3, 3)


def test_all_followers_hear_one_order(here: Store, there: Store, clock: Clock) -> None:
    heard: dict[Store, list[tuple[int, str]]] = {here: [], there: []}

    def follow(store: Store) -> None:
        while len(heard[store]) < 402:
            position = heard[store][-1][0] if heard[store] else 0
            heard[store] += [(event.id, event.text) for event in store.follow(position, 5).events]

    followers = [gevent.spawn(follow, store) for store in heard]
    alice, bob = claim(here, "Alice"), claim(there, "Bob")
    for number in range(200):
        here.append(alice.claim, f"a {number}")
        there.append(bob.claim, f"b {number}")
        if number % 10 == 0:
            gevent.sleep(0)
    clock.advance(1)
    tick(here)
    for follower in followers:
        follower.get(timeout=20)

    assert heard[here] == heard[there]
    assert [number for number, _ in heard[here]] == list(range(1, 403))


def test_a_name_is_taken_over_on_another_worker_without_an_event(here: Store, there: Store) -> None:
    old = claim(here, "Alice")

    new = claim(there, "Alice", secret=old.claim.secret)

    assert say(there, new, "from there").id == 2
    with pytest.raises(ClaimLost):
        say(here, old, "from here")


def test_the_worker_that_lost_a_holder_hears_of_it_and_no_other(here: Store, there: Store) -> None:
    old = claim(here, "Alice")
    followers = [gevent.spawn(store.follow, 1, 0.5) for store in (here, there)]

    claim(there, "Alice", secret=old.claim.secret)

    assert [f.get(timeout=20).lost for f in followers] == [
        [Lost(old.claim.holder, "taken_over")],
        [],
    ]


def test_notices_keep_their_interval_over_all_workers(
    here: Store, there: Store, clock: Clock
) -> None:
    for number in range(10):
        claim(here, f"here {number}")
        claim(there, f"there {number}")
        tick(there)
    clock.advance(0.25)
    tick(here)
    tick(there)

    assert [event.count for event in events(here)] == [1, 19]


def test_a_name_whose_worker_is_silent_waits_from_the_end_of_the_lease(
    here: Store, there: Store, clock: Clock
) -> None:
    silent = claim(here, "Alice")
    clock.advance(LEASE_SECONDS)
    tick(there)

    clock.advance(GRACE_SECONDS - 0.001)
    tick(there)
    assert there.names() == ["Alice"]
    with pytest.raises(NameTaken):
        claim(there, "Alice")

    clock.advance(0.001)
    tick(there)
    tick(there)
    assert there.names() == []
    assert told(there) == ["Alice joined the chat", "Alice left the chat"]
    assert claim(there, "Alice", secret=silent.claim.secret).claim.secret != silent.claim.secret


def test_a_thousand_names_of_a_silent_worker_leave_gathered(
    here: Store, there: Store, clock: Clock
) -> None:
    for number in range(1200):
        here.claim(f"{number}", f"member {number}", f"h.{number}", None)
    claim(here, "last")
    clock.advance(1)
    tick(here)
    clock.advance(LEASE_SECONDS)
    tick(there)
    clock.advance(GRACE_SECONDS)
    while tick(there) == 0:
        pass
    clock.advance(1)
    tick(there)

    leaves = [event for event in events(there) if event.type == "leave"]
    assert sum(event.count for event in leaves) == 1201
    assert leaves[0].users[:2] == ("member 0", "member 1")
    assert len(leaves) <= 4
    assert there.counts().users == 0


def test_a_worker_that_comes_back_in_time_has_its_names_again(
    here: Store, there: Store, clock: Clock
) -> None:
    alice, bob = claim(here, "Alice"), claim(here, "Bob")
    clock.advance(LEASE_SECONDS + GRACE_SECONDS - 0.001)
    tick(there)
    elsewhere = claim(there, "Bob", secret=bob.claim.secret)

    assert say(here, alice, "I was never away").id == 3
    assert say(there, elsewhere, "I am here now").id == 4
    clock.advance(GRACE_SECONDS)
    tick(here)
    tick(there)
    assert there.names() == ["Alice", "Bob"]


def test_a_worker_that_comes_back_too_late_is_told_to_begin_anew(
    here: Store, there: Store, clock: Clock
) -> None:
    alice = claim(here, "Alice")
    position = here.follow(0, 1).events[-1].id
    epoch = here.epoch
    follower = gevent.spawn(here.follow, position + 1, 20)
    clock.advance(LEASE_SECONDS)
    tick(there)
    clock.advance(GRACE_SECONDS)
    tick(there)

    with pytest.raises(ClaimLost):
        say(here, alice, "where was I?")
    with pytest.raises(LogReset):
        follower.get(timeout=20)
    assert here.epoch == epoch
    assert claim(here, "Alice").name == "Alice"


def test_what_a_worker_that_ends_still_holds_waits_at_once(
    here: Store, there: Store, clock: Clock
) -> None:
    claim(here, "Alice")
    here.close()

    clock.advance(GRACE_SECONDS)
    tick(there)

    assert told(there) == ["Alice joined the chat", "Alice left the chat"]


def test_a_store_that_is_closed_answers_unavailable(here: Store) -> None:
    here.close()

    with pytest.raises(Unavailable):
        tick(here)


def test_while_nobody_could_call_no_time_passed(
    here: Store, there: Store, clock: Clock, redis_client: redis.Redis
) -> None:
    alice, bob = claim(here, "Alice"), claim(here, "Bob")
    outcome(here.suspend(bob.claim))
    redis_client.hset(META, "seen", 0)
    clock.advance(3600)

    tick(there)

    assert there.names() == ["Alice", "Bob"]
    assert told(here) == ["Alice joined the chat", "Bob joined the chat"]
    assert say(here, alice, "here I am").id == 3
    clock.advance(GRACE_SECONDS)
    tick(here)
    assert here.names() == ["Alice"]


class ServerClock:
    """The clock of Redis's machine, set by the test."""

    def __init__(self, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        self._client = client
        self._now = 1_700_000_000.0
        self.advance(0)
        script = scripts.BATCH.source.replace(b"call('TIME')", b"call('LRANGE', 'time', 0, -1)")
        assert script != scripts.BATCH.source
        monkeypatch.setattr(scripts, "BATCH", scripts.Script.of(script))

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._client.delete("time")
        self._client.rpush("time", int(self._now), round(self._now % 1 * 1_000_000))


@pytest.fixture
def server_clock(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> ServerClock:
    return ServerClock(redis_client, monkeypatch)


@pytest.fixture
def timed(redis_url: str, server_clock: ServerClock) -> Iterator[Store]:
    """A worker that goes by the server's clock."""
    with closing(open_store(redis_url)) as store:
        yield store


def tick_for(store: Store, clock: ServerClock, seconds: float) -> None:
    """Let time pass as the room does, a few ticks a second."""
    for _ in range(round(seconds * 4)):
        clock.advance(0.25)
        tick(store)


@pytest.mark.parametrize("seconds", [-3600, 3600, -1.9])
def test_a_name_waits_as_long_as_ever_when_the_servers_clock_is_set(
    timed: Store, server_clock: ServerClock, seconds: float
) -> None:
    alice, bob = claim(timed, "Alice"), claim(timed, "Bob")
    outcome(timed.suspend(alice.claim))
    server_clock.advance(seconds)
    outcome(timed.suspend(bob.claim))

    tick_for(timed, server_clock, GRACE_SECONDS - 1)
    assert timed.names() == ["Alice", "Bob"]

    tick_for(timed, server_clock, 1)
    assert timed.names() == []


def test_a_lease_lasts_as_long_as_ever_when_the_servers_clock_is_set_back(
    redis_url: str, timed: Store, server_clock: ServerClock
) -> None:
    with closing(open_store(redis_url)) as lost:
        claim(lost, "Alice")
        server_clock.advance(-3600)

        tick_for(timed, server_clock, LEASE_SECONDS + GRACE_SECONDS + 1)

        assert timed.names() == []


KILLED_WORKER = """
from gevent import monkey
monkey.patch_all()
import sys
from chatserver.futures import wait
from chatserver.store import open_store
store = open_store(sys.argv[1])
joined = wait(store.claim("alice", "Alice", "killed.1", None))
print("secret", joined.claim.secret, flush=True)
while True:
    wait(store.tick())
"""


def test_members_of_a_killed_worker_come_back_elsewhere_without_an_event(
    url: str, here: Store, start_process: StartProcess
) -> None:
    worker = start_process(sys.executable, "-c", KILLED_WORKER, url)
    secret = worker.wait_for_line("^secret (.*)$")[1]
    worker.kill()

    back = claim(here, "Alice", secret=secret)

    assert say(here, back, "back").id == 2
    assert told(here) == ["Alice joined the chat", "back"]
