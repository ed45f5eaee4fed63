"""From the version before logs and figures to this one, while everybody talks: nobody misses
anything, with two servers on Redis of which one is updated after the other, and with one on SQLite
that is stopped and started."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.faults.deployment import Deployment
from tests.faults.record import Outcome
from tests.faults.trial import Trial
from tests.processes import REPOSITORY, Processes, not_tested, wait_until
from tests.redis_server import DurableRedis, require_redis

VERSION_BEFORE = "1a1e9d50bdd066f210a4fe68f39584b687bde6ef"
"""The commit: it has neither logs nor figures, nor rooms."""

MEMBERS = 12
SEED = 20_300_107


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The folder with the code of the version before."""
    folders = ("capnweb_sync", "chatserver", "chatclient")
    packed = subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", VERSION_BEFORE, *folders],
        capture_output=True,
        check=False,
    )
    if packed.returncode:
        not_tested("the repository's history is not here: updating is NOT tested")
    folder = tmp_path / "before"
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class Updated(Deployment):
    """A server of the version before, until it is updated."""

    health = "/healthz"

    def __init__(self, before: Path, processes: Processes, store: str) -> None:
        self.folder = before
        super().__init__(processes, store, drain_seconds=2)

    def update(self) -> None:
        """Stop it, and start it with the code of now."""
        assert self.terminate() == 0
        self.folder, self.health = REPOSITORY, Deployment.health
        self.start()


def talk_on(trial: Trial, full: bool) -> None:
    goal = trial.record.count(Outcome.ANSWERED) + (5000 if full else 100)
    wait_until(lambda: trial.record.count(Outcome.ANSWERED) >= goal, timeout=120)


def lead_half_to(trial: Trial, server: Deployment) -> None:
    """Half of the members, and who comes next, are on this server."""
    trial.proxy.target = server.address
    links = trial.proxy.links
    for link in links[: MEMBERS // 2]:
        link.cut()
    wait_until(lambda: len(trial.proxy.links) == MEMBERS, message="they are there again")


def nobody_lost_anything(trial: Trial) -> None:
    assert trial.findings() == []
    assert trial.messages[Outcome.UNKNOWN] == 0
    history = trial.swarm.members[0].chat.history(500)
    assert not [event for event in history if event.type == "leave" and "member" in event.user]


def test_two_servers_on_redis_are_updated_one_after_the_other(
    before: Path, processes: Processes, tmp_path: Path, full: bool
) -> None:
    require_redis()
    redis = DurableRedis(processes, tmp_path)
    one, other = (Updated(before, processes, redis.url) for _ in range(2))
    with Trial(one, MEMBERS, seed=SEED) as trial:
        trial.swarm.start_talking()
        lead_half_to(trial, other)
        talk_on(trial, full)

        one.update()
        trial.proxy.target = one.address
        other.update()

        lead_half_to(trial, other)
        talk_on(trial, full)
        nobody_lost_anything(trial)


def test_one_server_on_sqlite_is_stopped_and_the_next_version_started(
    before: Path, processes: Processes, database: str, full: bool
) -> None:
    server = Updated(before, processes, database)
    with Trial(server, MEMBERS, seed=SEED) as trial:
        trial.swarm.start_talking()
        talk_on(trial, full)

        server.update()

        talk_on(trial, full)
        nobody_lost_anything(trial)
