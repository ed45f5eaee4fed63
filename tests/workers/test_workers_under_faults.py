"""The fault checker on four workers: they are killed one after another, Redis is killed, and
connections are cut, while everybody talks."""

from tests.faults.record import Outcome
from tests.faults.trial import Trial
from tests.faults.trouble import CUTS, Trouble
from tests.processes import wait_until
from tests.redis_server import DurableRedis
from tests.workers.conftest import WORKERS, Deploy
from tests.workers.placement import connections

MEMBERS = 30
SEED = 20_300_107


def test_nothing_is_lost_or_doubled_when_workers_and_redis_are_killed_and_connections_cut(
    deploy: Deploy, redis: DurableRedis, full: bool
) -> None:
    deployment = deploy()
    with Trial(deployment, MEMBERS, seed=SEED) as trial:

        def talk_on(messages: int) -> None:
            goal = trial.record.count(Outcome.ANSWERED) + messages
            wait_until(
                lambda: trial.record.count(Outcome.ANSWERED) >= goal,
                timeout=60,
                message=f"{messages} more messages are answered",
            )

        killed = []
        trial.swarm.start_talking()
        with Trouble(trial.proxy, CUTS, seed=SEED) as trouble:
            for _ in range(5 if full else 1):
                for _ in range(WORKERS):
                    talk_on(1_000 if full else 60)
                    served = connections(deployment)
                    # The one that is missed most, so that each kill matters.
                    worker = max(served, key=lambda pid: len(served[pid]))
                    killed.append(len(served[worker]))
                    deployment.kill_worker(worker)
                talk_on(1_000 if full else 60)
                redis.kill()
                redis.start()
            talk_on(60)
        assert trial.findings() == []

    print(f"members of the workers that were killed: {killed}")
    assert min(killed) > 0
    assert min(trouble.happened.values()) > 0
    assert trial.messages[Outcome.REFUSED] == 0
