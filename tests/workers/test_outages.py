"""Redis is away, or comes back without its data, under four workers with a member each."""

import shutil
import time
from pathlib import Path

import pytest

from tests.chatserver.wire import Rejected, WireClient
from tests.faults.deployment import GunicornDeployment
from tests.processes import wait_until
from tests.redis_server import DurableRedis
from tests.workers.conftest import Deploy
from tests.workers.placement import connect_to

STORE_TIMEOUT = 0.5
"""Seconds after which the store answers `unavailable`."""

NOTICEABLE = 1.5
"""Seconds that such an answer takes at most, on a busy machine."""

LEASE_SECONDS = GRACE_SECONDS = 0.5

OPTIONS = f"?timeout={STORE_TIMEOUT}&lease={LEASE_SECONDS}"


def join_on_each_worker(deployment: GunicornDeployment) -> dict[str, WireClient]:
    """A member on each worker, by name; everybody has heard of everybody."""
    members = {}
    for number, worker in enumerate(deployment.workers()):
        members[f"member {number}"] = connect_to(deployment, worker)
    for name, member in members.items():
        member.join(name)
    for name, member in members.items():
        member.say(name, f"{name} is here")
    for member in members.values():
        for name in members:
            member.wait_for(f"{name} is here")
    return members


def test_while_redis_is_away_members_stay_and_are_told_so_and_then_all_goes_on(
    deploy: Deploy, redis: DurableRedis
) -> None:
    deployment = deploy(OPTIONS, grace=GRACE_SECONDS)
    members = join_on_each_worker(deployment)

    def call(name: str) -> int:
        return members[name].push("sendMessage", name, f"{name} insists", {"key": "one"})

    def refusal(name: str, number: int) -> str | None:
        try:
            members[name].answer(number)
        except Rejected as rejected:
            return str(rejected.code)
        return None

    redis.kill()
    away = time.monotonic()
    # Longer than any lease and grace: nobody must lose a name by it.
    while time.monotonic() < away + LEASE_SECONDS + GRACE_SECONDS + STORE_TIMEOUT:
        asked = time.monotonic()
        calls = {name: call(name) for name in members}
        codes = [refusal(name, number) for name, number in calls.items()]
        assert codes == ["unavailable"] * len(members)
        assert time.monotonic() - asked < NOTICEABLE
    with pytest.raises(Rejected, match=r"[Tt]ry again"):
        members["member 0"].call("getHistory")
    assert not deployment.serves()

    redis.start()

    for name in members:
        wait_until(
            lambda name=name: refusal(name, call(name)) is None,  # type: ignore[misc]
            message="it is answered again",
        )
    for member in members.values():
        for name in members:
            member.wait_for(f"{name} insists")
        insisted = [text for text in member.texts if "insists" in text]
        assert len(insisted) == len(members)
        ids = [event["id"] for event in member.events]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert not [event for event in member.events if event["type"] == "leave"]
        assert member.open
    wait_until(deployment.serves)


def test_when_redis_comes_back_empty_members_are_sent_away_and_learn_of_it_when_they_join(
    deploy: Deploy, redis: DurableRedis, tmp_path: Path
) -> None:
    deployment = deploy(OPTIONS, grace=GRACE_SECONDS)
    members = join_on_each_worker(deployment)
    observer = WireClient(deployment.url)
    before = observer.join("observer")

    redis.kill()
    shutil.rmtree(tmp_path / "appendonlydir")
    redis.start()

    assert [member.closed() for member in members.values()] == [1012] * len(members)
    assert observer.closed() == 1012
    back = WireClient(deployment.url)
    options = {"resume": before["resume"], "since": before["lastId"], "epoch": before["epoch"]}
    joined = back.join("observer", options)
    assert joined["recovered"] is False
    assert joined["epoch"] != before["epoch"]
    for name, worker in zip(members, deployment.workers(), strict=True):
        member = connect_to(deployment, worker)
        assert member.join(name)["epoch"] == joined["epoch"]
        member.say(name, f"{name} is back")
        back.wait_for(f"{name} is back")
