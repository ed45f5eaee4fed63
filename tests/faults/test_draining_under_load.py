"""SIGTERM while everybody talks."""

import pytest

from capnweb_sync.client import reconnect
from tests.faults.deployment import Deployment
from tests.faults.record import Outcome
from tests.faults.trial import Trial
from tests.processes import Processes, wait_until
from tests.proxy.link import BLACK_HOLE

MEMBERS = 30
SEED = 20_300_103

DRAIN_SECONDS = 1

FIRST_DELAY = 0.3
"""Of the client's, less than its own: who is sent away with 1001 makes its first attempt within
four times that."""

CROWDED = 12
"""Of 30 attempts spread over ten parts of that time, so many fall into one by chance less than once
in ten thousand runs; all of them do if nobody spreads them."""


def test_nothing_is_lost_when_the_server_is_stopped_and_everybody_comes_back_spread_out(
    processes: Processes, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "FIRST_DELAY", FIRST_DELAY)
    monkeypatch.setattr(reconnect, "MAX_DELAY", 30.0)
    spread = FIRST_DELAY * 2**reconnect.CROWD_ATTEMPT
    # Of how long a name waits is nothing said here.
    deployment = Deployment(processes, database, drain_seconds=DRAIN_SECONDS, grace=60)
    with Trial(deployment, MEMBERS, seed=SEED, pause=0.01, send_timeout=60) as trial:
        trial.swarm.start_talking()
        wait_until(lambda: trial.record.count(Outcome.ANSWERED) > 200)
        came = len(trial.proxy.accepted)

        assert deployment.terminate() == 0

        deployment.start()
        wait_until(lambda: len(trial.proxy.links) == MEMBERS)
        first_attempts = trial.proxy.accepted[came : came + MEMBERS]
        findings = trial.findings()
        history = trial.swarm.members[0].chat.history(500)

    assert findings == []
    assert trial.messages[Outcome.UNKNOWN] == trial.messages[Outcome.REFUSED] == 0
    assert not [event for event in history if event.type == "leave" and "member" in event.user]
    crowding = max(
        sum(start <= moment < start + spread / 10 for moment in first_attempts)
        for start in first_attempts
    )
    assert crowding < CROWDED
    assert deployment.process.error_lines == []


def test_a_member_who_does_not_answer_delays_the_end_by_no_more_than_is_allowed(
    processes: Processes, database: str
) -> None:
    deployment = Deployment(processes, database, drain_seconds=DRAIN_SECONDS)
    with Trial(deployment, MEMBERS, seed=SEED) as trial:
        trial.swarm.start_talking()
        wait_until(lambda: trial.record.count(Outcome.ANSWERED) > 100)
        for link in trial.proxy.links[:3]:
            link.impair(BLACK_HOLE)

        deployment.process.terminate(timeout=DRAIN_SECONDS + 1)

        deployment.start()
        assert trial.findings() == []
