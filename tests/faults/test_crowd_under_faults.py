"""Thirty members who all talk, and what must not matter to them: that connections end in every way
there is, and that the server dies, sleeps, or loses its answers."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.faults.answers import LostAnswers
from tests.faults.deployment import Deployment
from tests.faults.record import Outcome
from tests.faults.swarm import SwarmMember
from tests.faults.trial import Trial
from tests.faults.trouble import BLACK_HOLES, CUTS, SLOWNESS, Trouble
from tests.processes import Processes, wait_until

MEMBERS = 30
RESTARTS = 5
SEED = 20_300_101

PING_SECONDS = 0.5
"""How soon silence is asked about, and then how soon it counts as an end; on both sides."""

PINGS: dict[str, Any] = {"ping_interval": PING_SECONDS, "ping_timeout": PING_SECONDS}


def talk_on(trial: Trial, messages: int) -> None:
    """Wait until so many more messages were answered."""
    goal = trial.record.count(Outcome.ANSWERED) + messages
    wait_until(
        lambda: trial.record.count(Outcome.ANSWERED) >= goal,
        timeout=60,
        message=f"{messages} more messages are answered",
    )


def test_nothing_is_lost_or_doubled_when_connections_are_cut_and_the_server_is_killed(
    processes: Processes, database: str, full: bool
) -> None:
    deployment = Deployment(processes, database, **PINGS)
    with Trial(deployment, MEMBERS, seed=SEED, **PINGS) as trial:
        trial.swarm.start_talking()
        with Trouble(trial.proxy, CUTS, seed=SEED) as trouble:
            for _ in range(RESTARTS):
                talk_on(trial, 5_000 if full else 200)
                deployment.kill()
                deployment.start()
            talk_on(trial, 200)
        assert trial.findings() == []

    assert min(trouble.happened.values()) > 0


def test_nothing_is_lost_or_doubled_where_connections_fall_silent_without_an_end(
    processes: Processes, database: str, full: bool
) -> None:
    deployment = Deployment(processes, database, **PINGS)
    with Trial(deployment, MEMBERS, seed=SEED, **PINGS) as trial:
        trial.swarm.start_talking()
        with Trouble(trial.proxy, {**BLACK_HOLES, **SLOWNESS}, seed=SEED) as trouble:
            wait_until(lambda: min(trouble.happened.values()) >= (50 if full else 2), timeout=300)
        assert trial.findings() == []


def test_nothing_is_lost_or_doubled_when_the_server_is_paused(
    processes: Processes, database: str, full: bool
) -> None:
    deployment = Deployment(processes, database, **PINGS)
    with Trial(deployment, MEMBERS, seed=SEED, **PINGS) as trial:
        trial.swarm.start_talking()
        for _ in range(20 if full else 2):
            talk_on(trial, 200)
            came = len(trial.proxy.accepted)
            deployment.pause()
            wait_until(
                lambda came=came: len(trial.proxy.accepted) >= came + MEMBERS,  # type: ignore[misc]
                message="all members have noticed the silence and try again",
            )
            deployment.go_on()
        talk_on(trial, 200)
        assert trial.findings() == []


def test_a_message_whose_answers_are_lost_until_the_third_try_is_stored_once(
    processes: Processes, database: str, full: bool
) -> None:
    members, messages = (MEMBERS, 20) if full else (10, 3)
    answers = LostAnswers(until=3)
    deployment = Deployment(processes, database)

    def talk(member: SwarmMember) -> None:
        for turn in range(messages):
            member.say(f"{member.name} {turn}", timeout=60)

    with Trial(deployment, members, seed=SEED, inspector=answers) as trial:
        with ThreadPoolExecutor(members) as pool:
            list(pool.map(talk, trial.swarm.members))
        assert trial.findings() == []

    assert trial.messages[Outcome.ANSWERED] == members * messages
    assert set(answers.tries.values()) == {3}
    assert answers.lost == 2 * members * messages
