"""One sum of memory a session, and one for all: what counts, when it is told, who goes first."""

from collections.abc import Callable
from functools import partial

from capnweb_sync.core.ledger import REPORT_STEP, Kept, Ledger, MemoryOfAll

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
    ledger.limit(100)
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
    memory = MemoryOfAll(MIB)
    for _ in range(100):
        Ledger(MIB, memory).hold(REPORT_STEP)
    assert memory.held == 0


def test_past_the_bound_of_all_the_largest_go_first() -> None:
    memory = MemoryOfAll(10 * MIB)
    gone: list[int] = []
    ledgers = [Ledger(16 * MIB, memory) for _ in range(4)]
    for index, ledger in enumerate(ledgers):
        ledger.owner = Keeper(partial(gone.append, index))
    for ledger, size in zip(ledgers, (1, 4, 3, 1), strict=True):
        ledger.hold(size * MIB)
    assert gone == []
    ledgers[0].hold(2 * MIB)
    assert gone == [1]
    assert memory.held == 7 * MIB


def test_what_has_been_given_back_does_not_count_against_all() -> None:
    memory = MemoryOfAll(10 * MIB)
    gone: list[str] = []
    ledgers = [Ledger(16 * MIB, memory) for _ in range(8)]
    for ledger in ledgers:
        ledger.owner = Keeper(lambda: gone.append("gone"))
        ledger.hold(5 * MIB)
        ledger.give_back(5 * MIB)
    assert gone == []
    assert memory.held <= 10 * MIB


def test_what_others_hold_as_well_counts_for_the_session_alone() -> None:
    memory = MemoryOfAll(MIB)
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
    memory = MemoryOfAll(10 * MIB)
    ledger = Ledger(16 * MIB, memory)
    ledger.hold(5 * MIB)
    assert memory.held == 5 * MIB
    ledger.close()
    ledger.close()
    ledger.hold(30 * MIB)
    assert memory.held == 0
    assert not ledger.overdrawn
