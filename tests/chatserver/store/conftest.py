"""The engines, each to be asked the same."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatserver.store import Policy, Store, open_store

OpenStore = Callable[..., Store]


class Clock:
    """Milliseconds since 1970 in UTC, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store of each engine is, empty at first."""
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
