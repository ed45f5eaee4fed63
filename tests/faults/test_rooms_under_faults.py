"""People in rooms and conversations, while connections are cut and the server is killed: what
everyone heard is what happened."""

from __future__ import annotations

from typing import Any

from tests.faults.deployment import Deployment
from tests.faults.trouble import CUTS, Trouble
from tests.faults.village import Village
from tests.processes import Processes, wait_until
from tests.proxy.proxy import Proxy

SEED = 20_300_102
PING_SECONDS = 0.5
PINGS: dict[str, Any] = {"ping_interval": PING_SECONDS, "ping_timeout": PING_SECONDS}


def test_everyone_hears_what_happens_in_their_rooms_whatever_breaks(
    processes: Processes, database: str, full: bool
) -> None:
    deployment = Deployment(processes, database, **PINGS)
    with Proxy(deployment.address) as proxy, Village(proxy.url, **PINGS) as village:
        with Trouble(proxy, CUTS, seed=SEED) as trouble:
            for _ in range(10 if full else 2):
                village.live_on(3000 if full else 150)
                deployment.kill()
                deployment.start()
            wait_until(lambda: min(trouble.happened.values()) > 0, timeout=120)
            village.live_on(100)
        assert village.findings() == []
