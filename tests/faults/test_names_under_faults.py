"""A name is its member's, whatever happens to the connection and to the server."""

from collections.abc import Iterable

import pytest

from tests.chatserver.wire import Rejected, WireClient
from tests.faults.deployment import Deployment
from tests.faults.trial import Trial
from tests.faults.trouble import CUTS, Trouble
from tests.processes import DEADLINE, Processes, wait_until
from tests.proxy.link import BLACK_HOLE
from tests.proxy.proxy import Proxy

MEMBERS = 5
SEED = 20_300_102


def try_to_take(deployment: Deployment, names: Iterable[str]) -> None:
    """Join with each of the names and a wrong secret. Raises AssertionError if that succeeds."""
    for name in names:
        thief = WireClient(deployment.url)
        with pytest.raises(Rejected) as refusal:
            thief.join(name, {"resume": "a guess"})
        thief.close()
        assert refusal.value.code == "username_taken"


def test_a_wrong_secret_takes_no_name_however_often_its_member_is_cut_off(
    processes: Processes, database: str, full: bool
) -> None:
    deployment = Deployment(processes, database)
    with Trial(deployment, MEMBERS, seed=SEED) as trial:
        trial.swarm.start_talking()

        def tried_through_many_cuts() -> bool:
            try_to_take(deployment, trial.swarm.names)
            return sum(trouble.happened.values()) >= (1_000 if full else 20)

        with Trouble(trial.proxy, CUTS, seed=SEED, pause=0.05) as trouble:
            wait_until(tried_through_many_cuts, timeout=300 if full else DEADLINE)
            deployment.kill()
            deployment.start()
            # Nobody may be back yet: now the names wait.
            try_to_take(deployment, trial.swarm.names)
        assert trial.findings() == []


def test_a_member_whose_name_is_tried_while_it_is_cut_off_comes_back_unnoticed(
    processes: Processes, database: str
) -> None:
    deployment = Deployment(processes, database)
    with Trial(deployment, MEMBERS, seed=SEED) as trial:
        trial.proxy.refusing = True
        trial.proxy.reset_all()

        try_to_take(deployment, trial.swarm.names)

        trial.proxy.refusing = False
        for member in trial.swarm.members:
            member.say(f"{member.name} is back", timeout=10)
        events = trial.swarm.members[0].chat.history()
        assert trial.findings() == []

    assert {event.type for event in events if event.user in trial.swarm.names} == {"join", "chat"}


def test_a_member_that_falls_silent_for_good_has_left_after_pings_and_grace(
    processes: Processes, database: str
) -> None:
    deployment = Deployment(processes, database, ping_interval=0.3, ping_timeout=0.3, grace=0.3)
    witness = WireClient(deployment.url)
    witness.join("witness")
    with Proxy(deployment.address) as proxy:
        silent = WireClient(proxy.url)
        silent.join("silent")
        silent.say("silent", "my last words")

        proxy.impair(BLACK_HOLE)

        wait_until(lambda: "silent left the chat" in witness.texts)
        assert witness.call("listUsers") == ["witness"]
        proxy.cut_all()
        silent.close()
    witness.close()
