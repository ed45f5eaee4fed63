"""People in rooms and conversations on four workers, which are killed one after another, while
Redis is killed and connections are cut."""

from __future__ import annotations

from tests.faults.trouble import CUTS, Trouble
from tests.faults.village import Village
from tests.processes import wait_until
from tests.proxy.proxy import Proxy
from tests.redis_server import DurableRedis
from tests.workers.conftest import WORKERS, Deploy
from tests.workers.placement import connections

SEED = 20_300_108


def test_everyone_hears_what_happens_in_their_rooms_when_workers_and_redis_are_killed(
    deploy: Deploy, redis: DurableRedis, full: bool
) -> None:
    deployment = deploy()
    with Proxy(deployment.address) as proxy, Village(proxy.url) as village:
        with Trouble(proxy, CUTS, seed=SEED) as trouble:
            for _ in range(5 if full else 1):
                for _ in range(WORKERS if full else 1):
                    village.live_on(500 if full else 100)
                    served = connections(deployment)
                    deployment.kill_worker(max(served, key=lambda pid: len(served[pid])))
                village.live_on(500 if full else 100)
                redis.kill()
                redis.start()
            wait_until(lambda: min(trouble.happened.values()) > 0, timeout=120)
            village.live_on(100)
        assert village.findings() == []
