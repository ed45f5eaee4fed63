"""One sum of memory a session, and one for all: what counts, when it is told, who goes first."""

from collections.abc import Callable
from functools import partial

from capnweb_sync.core.ledger import REPORT_STEP, Kept, Ledger, MemoryOfMany

MIB = 1024 * 1024


class Keeper:
    """What keeps the things of a ledger: told when it has to give them up."""

    def __init__(self, shed: Callable[[], None]) -> None:
        self.shed = shed


def test_a_ledger_is_overdrawn_past_its_bound() -> None:
    ledger = Ledger(1_000)
    ledger.hold(1_000)
    assert not ledger.overdrawn
    ledger.hold(1)
    assert ledger.overdrawn


def test_the_session_says_how_much_a_ledger_that_its_transport_has_begun_may_hold() -> None:
    ledger = Ledger(1_000)
    ledger.taken_over(100)
    ledger.hold(101)
    assert ledger.overdrawn


def test_what_several_hold_counts_once_until_the_last_has_let_go() -> None:
    ledger = Ledger(1_000)
    holders = [Kept(ledger, 600)]
    holders.append(holders[0])
    holders.pop()
    assert ledger.held == 600
    holders.pop()
    assert ledger.held == 0


def test_small_sessions_cost_the_sum_nothing() -> None:
    memory = MemoryOfMany(MIB)
    for _ in range(100):
        Ledger(MIB, memory).hold(REPORT_STEP)
    assert memory.held == 0


def test_past_the_bound_of_all_the_largest_go_first() -> None:
    memory = MemoryOfMany(10 * MIB)
    gone: list[int] = []
    ledgers = [Ledger(16 * MIB, memory) for _ in range(4)]
    for index, ledger in enumerate(ledgers):
        ledger.owner = Keeper(partial(gone.append, index))
    for ledger, size in zip(ledgers, (1, 4, 3, 1), strict=True):
        ledger.hold(size * MIB)
    assert gone == []
    ledgers[0].hold(2 * MIB)
    assert gone == [1]
    ledgers[1].close()
    assert memory.held == 7 * MIB


def test_what_is_on_its_way_out_counts_until_it_is_gone_and_takes_nobody_else_along() -> None:
    memory = MemoryOfMany(10 * MIB)
    gone: list[int] = []
    ledgers = [Ledger(16 * MIB, memory) for _ in range(3)]
    for index, ledger in enumerate(ledgers):
        ledger.owner = Keeper(partial(gone.append, index))
    ledgers[0].hold(8 * MIB)
    ledgers[1].hold(4 * MIB)
    assert gone == [0]
    ledgers[2].hold(4 * MIB)
    assert gone == [0]
    assert memory.held == 16 * MIB


def test_a_party_has_a_bound_of_its_own_within_that_of_all() -> None:
    everybody = MemoryOfMany(10 * MIB)
    party = MemoryOfMany(4 * MIB, everybody)
    gone: list[str] = []
    stranger = Ledger(16 * MIB, everybody)
    stranger.owner = Keeper(lambda: gone.append("the stranger"))
    stranger.hold(5 * MIB)
    ledgers = [Ledger(16 * MIB, everybody) for _ in range(2)]
    for index, ledger in enumerate(ledgers):
        ledger.belong_to(party)
        ledger.owner = Keeper(partial(gone.append, f"number {index} of the party"))
    ledgers[0].hold(3 * MIB)
    ledgers[1].hold(2 * MIB)
    assert gone == ["number 0 of the party"]
    ledgers[0].close()
    assert (party.held, everybody.held) == (2 * MIB, 7 * MIB)
    stranger.hold(4 * MIB)
    assert gone == ["number 0 of the party", "the stranger"]


def test_what_a_party_has_given_back_is_given_back_to_all() -> None:
    everybody = MemoryOfMany(10 * MIB)
    party = MemoryOfMany(4 * MIB, everybody)
    first, second = Ledger(16 * MIB, party), Ledger(16 * MIB, party)
    first.hold(3 * MIB)
    first.give_back(3 * MIB)
    second.hold(3 * MIB)
    assert (party.held, everybody.held) == (3 * MIB, 3 * MIB)


def test_a_ledger_of_a_session_stays_until_that_has_ended_what_it_keeps() -> None:
    memory = MemoryOfMany(10 * MIB)
    of_connection, of_session = Ledger(MIB, memory), Ledger(MIB, memory)
    of_session.taken_over(MIB)
    for ledger in (of_connection, of_session):
        ledger.hold(MIB)
        ledger.connection_over()
    assert memory.held == MIB
    of_session.close()
    assert memory.held == 0


def test_what_has_been_given_back_does_not_count_against_all() -> None:
    memory = MemoryOfMany(10 * MIB)
    gone: list[str] = []
    ledgers = [Ledger(16 * MIB, memory) for _ in range(8)]
    for ledger in ledgers:
        ledger.owner = Keeper(lambda: gone.append("gone"))
        ledger.hold(5 * MIB)
        ledger.give_back(5 * MIB)
    assert gone == []
    assert memory.held <= 10 * MIB


def test_what_others_hold_as_well_counts_for_the_session_alone() -> None:
    memory = MemoryOfMany(MIB)
    ledger = Ledger(4 * MIB, memory)
    ledger.owner = Keeper(lambda: gone.append("gone"))
    gone: list[str] = []
    ledger.shared += 3 * MIB
    ledger.hold(3 * MIB)
    assert (gone, memory.held) == ([], 0)
    ledger.hold(2 * MIB)
    assert ledger.overdrawn
    assert gone == ["gone"]


def test_a_session_that_is_over_counts_nothing() -> None:
    memory = MemoryOfMany(10 * MIB)
    ledger = Ledger(16 * MIB, memory)
    ledger.hold(5 * MIB)
    assert memory.held == 5 * MIB
    ledger.close()
    ledger.close()
    ledger.hold(30 * MIB)
    assert memory.held == 0
    assert not ledger.overdrawn
