"""What an operator does to a running server costs nobody an event."""

import os
import signal
from collections.abc import Callable

from chatclient import ChatClient
from chatserver.logs import LEVEL_SIGNAL
from tests.chatserver.observe.scraped import Scraped
from tests.faults.deployment import GunicornDeployment
from tests.faults.record import Outcome
from tests.faults.trial import Trial
from tests.processes import Processes, wait_until
from tests.redis_server import DurableRedis

WORKERS = 2
MEMBERS = 12
SEED = 20_300_108
DRAIN_SECONDS = 1


def a_worker_is_added_and_taken_away(deployment: GunicornDeployment, _: DurableRedis) -> None:
    deployment.process.signal(signal.SIGTTIN)
    wait_until(lambda: len(deployment.workers()) == WORKERS + 1, message="there is one more")
    ready = "chat_worker_ready"
    wait_until(lambda: Scraped(deployment.address)(ready) == WORKERS + 1, message="it serves")
    deployment.process.signal(signal.SIGTTOU)
    wait_until(lambda: len(deployment.workers()) == WORKERS, message="one is gone")


def the_level_of_the_log_is_changed(deployment: GunicornDeployment, _: DurableRedis) -> None:
    said = len(deployment.process.error_lines)
    os.killpg(deployment.process.pid, LEVEL_SIGNAL)
    for worker in deployment.workers():
        line = f" {worker} chatserver: The level was changed log_level=DEBUG"
        deployment.process.wait_for_line(line, after=said, stderr=True)
    with ChatClient(deployment.url, "Newcomer"):
        line = r"DEBUG \d+ capnweb_sync.calls: login"
        deployment.process.wait_for_line(line, after=said, stderr=True)
    os.killpg(deployment.process.pid, LEVEL_SIGNAL)
    deployment.process.wait_for_line("log_level=INFO", after=said, stderr=True)


def redis_is_restarted(_: GunicornDeployment, redis: DurableRedis) -> None:
    redis.process.terminate()
    redis.start()


OPERATIONS: list[Callable[[GunicornDeployment, DurableRedis], None]] = [
    a_worker_is_added_and_taken_away,
    the_level_of_the_log_is_changed,
    redis_is_restarted,
]


def test_nobody_loses_an_event(processes: Processes, redis: DurableRedis, full: bool) -> None:
    deployment = GunicornDeployment(processes, redis.url, WORKERS, drain_seconds=DRAIN_SECONDS)
    with Trial(deployment, MEMBERS, seed=SEED) as trial:
        record = trial.record

        def talk_on() -> None:
            goal = record.count(Outcome.ANSWERED) + 150
            wait_until(lambda: record.count(Outcome.ANSWERED) >= goal)

        for operate in OPERATIONS * (20 if full else 1):
            trial.swarm.start_talking()
            talk_on()

            operate(deployment, redis)

            talk_on()
            assert trial.findings() == [], operate.__name__
        history = trial.swarm.members[0].chat.history(500)

    assert trial.messages[Outcome.UNKNOWN] == trial.messages[Outcome.REFUSED] == 0
    assert not [event for event in history if event.type == "leave" and "member" in event.user]
    assert "Traceback" not in deployment.process.output
