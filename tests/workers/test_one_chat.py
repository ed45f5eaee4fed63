"""Four workers are one chat: one order, one list, one holder of each name."""

from concurrent.futures import ThreadPoolExecutor

from tests.chatserver.wire import Rejected, WireClient
from tests.faults.record import Outcome
from tests.faults.trial import Trial
from tests.processes import wait_until
from tests.workers.conftest import Deploy
from tests.workers.placement import connect_to, connections, spread

MEMBERS = 40
SEED = 20_300_105

LEAST = 5
"""Members that each of four workers has at least, of 40."""

ROUNDS = 40
"""How many names two members claim at once."""


def test_forty_members_on_four_workers_who_all_talk_hear_everything_once_in_one_order(
    deploy: Deploy, full: bool
) -> None:
    deployment = deploy()
    with Trial(deployment, MEMBERS, seed=SEED) as trial:
        spread(trial, deployment, LEAST)
        trial.swarm.start_talking()

        wait_until(lambda: trial.record.ended() >= (10_000 if full else 400), timeout=120)

        members = [len(clients) for clients in connections(deployment).values()]
        assert trial.findings() == []

    print(f"members of each worker: {members}")
    assert min(members) >= LEAST
    assert trial.messages[Outcome.UNKNOWN] == trial.messages[Outcome.REFUSED] == 0


def test_of_two_members_who_claim_a_name_at_once_on_two_workers_one_wins(deploy: Deploy) -> None:
    deployment = deploy()
    here, there, elsewhere = (connect_to(deployment, worker) for worker in deployment.workers()[:3])

    def claim(client: WireClient, call: int) -> WireClient | str:
        try:
            client.answer(call)
        except Rejected as refusal:
            return str(refusal.code)
        return client

    winners = []
    for number in range(ROUNDS):
        name = f"name {number}"
        first, second = (here, there) if number % 2 else (there, here)
        calls = [
            (client, client.push("join", name, client.callback())) for client in (first, second)
        ]
        outcomes = [claim(client, call) for client, call in calls]

        assert outcomes.count("username_taken") == 1
        assert elsewhere.call("listUsers") == [name]
        (winner,) = (outcome for outcome in outcomes if isinstance(outcome, WireClient))
        winner.call("leave", name)
        winners.append(winner)
    print(f"won: {winners.count(here)} here, {winners.count(there)} there")


def test_everyone_online_is_the_same_from_every_worker(deploy: Deploy) -> None:
    deployment = deploy("?lease=30", grace=30)
    clients = [connect_to(deployment, worker) for worker in deployment.workers()]

    def lists() -> list[list[str]]:
        with ThreadPoolExecutor(len(clients)) as pool:
            return list(pool.map(lambda client: client.call("listUsers"), clients))

    names = ["Dora", "Bob", "Carol", "Alice"]
    for count, (client, name) in enumerate(zip(clients, names, strict=True), 1):
        client.join(name)
        assert lists() == [names[:count]] * len(clients)
        assert [other.get("userCount") for other in clients] == [count] * len(clients)

    lost, *others = clients
    lost.lose()
    clients[0] = connect_to(deployment, deployment.workers()[1])
    assert lists() == [names] * len(clients)  # It waits, in its place.
    clients[0].join("Dora", {"resume": lost.resume["Dora"]})
    assert lists() == [names] * len(clients)
    others[0].call("leave", "Bob")
    assert lists() == [["Dora", "Carol", "Alice"]] * len(clients)
