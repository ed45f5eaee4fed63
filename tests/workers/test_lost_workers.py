"""A worker that is gone: its members are as if they had lost their connection."""

import os
import time
from collections import Counter
from signal import SIGCONT

from redis import Redis

from chatserver.store.interface import MAX_TICK_SECONDS
from chatserver.store.redis.scripts import PREFIX
from tests.chatserver.wire import WireClient
from tests.processes import wait_until
from tests.redis_server import DurableRedis
from tests.workers.conftest import Deploy
from tests.workers.placement import connect_to, stop

LEASE_SECONDS = 1.0
GRACE_SECONDS = 2.0

NAMES = ["soon", "late", "gone", "gone too", "gone as well"]


def lease_is_over(redis: DurableRedis) -> bool:
    """Whether a worker's is."""
    with Redis.from_url(redis.url) as client:
        return bool(client.zcard(f"{PREFIX}gone"))


def test_of_a_killed_worker_who_comes_back_elsewhere_is_unnoticed_and_each_other_one_leaves_once(
    deploy: Deploy, redis: DurableRedis
) -> None:
    deployment = deploy(f"?lease={LEASE_SECONDS}", grace=GRACE_SECONDS)
    victim, refuge, *_ = deployment.workers()
    witness = connect_to(deployment, refuge)
    witness.join("witness")
    clients = {}
    for name in NAMES:
        clients[name] = connect_to(deployment, victim)
        clients[name].join(name)
    wait_until(lambda: {name for event in witness.events for name in event["users"]} >= {*NAMES})
    before = len(witness.events)
    last = witness.events[-1]["id"]

    killed = time.time()
    deployment.kill_worker(victim)

    def come_back(name: str) -> WireClient:
        client = connect_to(deployment, refuge)
        joined = client.join(name, {"resume": clients[name].resume[name], "since": last})
        assert joined["recovered"] is True
        return client

    soon = come_back("soon")
    assert not lease_is_over(redis)
    wait_until(lambda: lease_is_over(redis))
    late = come_back("late")
    assert witness.events[before:] == []
    wait_until(lambda: witness.call("listUsers") == ["witness", "soon", "late"])
    late.say("late", "I was not away")
    soon.wait_for("I was not away")
    witness.wait_for("I was not away")

    *leaves, message = witness.events[before:]
    assert {event["type"] for event in leaves} == {"leave"}
    left = Counter(name for event in leaves for name in event["users"])
    assert left == Counter(["gone", "gone too", "gone as well"])
    waited = leaves[0]["time"].timestamp() - killed
    print(f"the first leave came after {waited:.2f} s")
    assert waited > LEASE_SECONDS + GRACE_SECONDS - MAX_TICK_SECONDS
    for client in (soon, late):
        assert client.events == [*leaves, message]


def test_a_worker_that_slept_beyond_lease_and_grace_sends_its_members_away_to_join_again(
    deploy: Deploy,
) -> None:
    deployment = deploy("?lease=0.5", grace=0.5)
    sleeper, awake, *_ = deployment.workers()
    witness = connect_to(deployment, awake)
    witness.join("witness")
    silent, speaker = (connect_to(deployment, sleeper) for _ in range(2))
    silent.join("silent")
    speaker.join("speaker")
    wait_until(lambda: len(witness.call("listUsers")) == 3)

    stop(sleeper)
    speaker.push("sendMessage", "speaker", "said to a sleeper")
    wait_until(lambda: witness.call("listUsers") == ["witness"])
    os.kill(sleeper, SIGCONT)

    # Not 4001, with which a client stays away: nobody else has the name.
    assert [client.closed() for client in (speaker, silent)] == [1012, 1012]
    back = WireClient(deployment.url)
    joined = back.join("speaker", {"resume": speaker.resume["speaker"]})
    assert joined["username"] == "speaker"
    back.say("speaker", "awake again")
    witness.wait_for("awake again")
    assert "said to a sleeper" not in witness.texts


def test_who_is_taken_over_on_another_worker_is_told_to_stay_away(deploy: Deploy) -> None:
    deployment = deploy()
    here, there, *_ = deployment.workers()
    old, new = connect_to(deployment, here), connect_to(deployment, there)
    old.join("Alice")

    new.join("Alice", {"resume": old.resume["Alice"]})

    assert old.closed() == 4001
    assert new.call("listUsers") == ["Alice"]
