"""A rolling reload while everybody talks."""

from pathlib import Path

import pytest

from tests.faults.deployment import GunicornDeployment
from tests.faults.record import Outcome
from tests.faults.trial import Trial
from tests.processes import Processes, wait_until
from tests.workers.conftest import Deploy

MEMBERS = 30
SEED = 20_300_106
DRAIN_SECONDS = 2


@pytest.fixture(params=["four workers on Redis", "one worker on SQLite"])
def deployment(
    request: pytest.FixtureRequest, processes: Processes, tmp_path: Path
) -> GunicornDeployment:
    if request.param == "one worker on SQLite":
        store = f"sqlite:///{tmp_path / 'chat.db'}"
        return GunicornDeployment(processes, store, 1, drain_seconds=DRAIN_SECONDS)
    deploy: Deploy = request.getfixturevalue("deploy")
    return deploy(drain_seconds=DRAIN_SECONDS)


def test_a_reload_under_load_costs_no_member_an_event_and_no_sender_an_error(
    deployment: GunicornDeployment, full: bool
) -> None:
    with Trial(deployment, MEMBERS, seed=SEED) as trial:
        record = trial.record

        def talk_on() -> None:
            goal = record.count(Outcome.ANSWERED) + 150
            wait_until(lambda: record.count(Outcome.ANSWERED) >= goal)

        trial.swarm.start_talking()
        for _ in range(10 if full else 1):
            talk_on()
            old = set(deployment.workers())
            came = len(trial.proxy.accepted)

            deployment.reload()

            wait_until(
                lambda old=old: (
                    len(old) == len(deployment.workers())
                    and not (  # type: ignore[misc]
                        old & set(deployment.workers())
                    )
                ),
                message="all workers are new",
            )
            talk_on()
            assert len(trial.proxy.accepted) >= came + MEMBERS
        findings = trial.findings()
        history = trial.swarm.members[0].chat.history(500)

    assert findings == []
    assert trial.messages[Outcome.UNKNOWN] == trial.messages[Outcome.REFUSED] == 0
    assert not [event for event in history if event.type == "leave" and "member" in event.user]
    assert "Traceback" not in deployment.process.output
