"""What the tests of several workers share: a Redis that forgets nothing, and the chat on it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import clients_come_back_soon as clients_come_back_soon
from tests.faults.deployment import GunicornDeployment
from tests.processes import Processes
from tests.redis_server import DurableRedis, require_redis

WORKERS = 4

Deploy = Callable[..., GunicornDeployment]


@pytest.fixture
def redis(processes: Processes, tmp_path: Path) -> DurableRedis:
    """With an append-only file that is synced with each write, in the test's folder."""
    require_redis()
    return DurableRedis(processes, tmp_path)


@pytest.fixture
def deploy(processes: Processes, redis: DurableRedis) -> Deploy:
    """Start four workers on that Redis. The first argument is added to the store's URL; the others
    are settings of the server."""

    def start(options: str = "", **settings: object) -> GunicornDeployment:
        return GunicornDeployment(processes, redis.url + options, WORKERS, **settings)

    return start
