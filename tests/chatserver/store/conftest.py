"""The engines, each to be asked the same."""

from collections.abc import Callable, Iterator
from pathlib import Path

import gevent.socket
import pytest
import redis.connection

from chatserver.store import open_store
from chatserver.store.interface import Policy, Store
from chatserver.store.values import Joined, Moment
from tests.chatserver.store.chat import come
from tests.redis_server import RedisServer, require_redis

OpenStore = Callable[..., Store]


class Clock:
    """The clocks, moved by the test.

    Attributes:
        now: milliseconds since 1970 in UTC.
    """

    def __init__(self) -> None:
        self.now = 1_700_000_000_000
        self._steady = 1_000_000

    def __call__(self) -> Moment:
        return Moment(self.now, self._steady)

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.now += round(seconds * 1000)
        self._steady += round(seconds * 1000)

    def set_back(self, seconds: float) -> None:
        """Somebody sets the wall's clock."""
        self.now -= round(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests that do it no harm."""
    require_redis()
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def redis_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where an empty Redis is."""
    # The servers are patched by gevent as a whole; the tests' process is not.
    monkeypatch.setattr(redis.connection, "socket", gevent.socket)
    server: RedisServer = request.getfixturevalue("shared_redis")
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """For what an operator does to Redis."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(params=["memory", "sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store of each engine is, empty at first."""
    if request.param == "redis":
        url: str = request.getfixturevalue("redis_url")
        return url
    return {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/chat.db"}[request.param]


@pytest.fixture
def open_at(url: str, clock: Clock) -> Iterator[OpenStore]:
    """Open the store with this policy, on the test's clock; closed when the test is over."""
    opened: list[Store] = []

    def open_it(policy: Policy | None = None) -> Store:
        store = open_store(url, policy, clock)
        opened.append(store)
        return store

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_at: OpenStore) -> Store:
    """A store with the policy that is the default."""
    return open_at()


@pytest.fixture
def mod(store: Store) -> Joined:
    """A moderator, in the lobby."""
    return come(store, "Mod", "moderator")


@pytest.fixture
def boss(store: Store) -> Joined:
    """An admin, not in the lobby."""
    return come(store, "Boss", "admin", lobby=False)
