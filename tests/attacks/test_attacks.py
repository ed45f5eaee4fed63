"""Each attack of the table for a second, at a small scale: what it does to everyone else.

`scripts/run_attacks.sh` runs them at full length. Here each has a part of its connections and its
time, so that all of them together take less than a minute; what is asserted leaves room for a busy
machine, and none for what was measured before there were bounds: seconds, and hundreds of MiB.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.__main__ import UNPRIVILEGED
from tests.attacks.attacks import ATTACKS
from tests.attacks.trial import attacked
from tests.processes import Processes, ServerProcess

MIB = 1024 * 1024

SECONDS = 1.0
CALM_SECONDS = 0.4
SCALE = 0.1

LATE = 0.05
LATE_OF_MANY = 0.25
"""Seconds beside what the undisturbed p99 of the same run was, ten times, and what the machine has
had everyone wait: the goals for one connection and for many, while they are there and when they
end."""

PER_CONNECTION = 16 * MIB

ROOM = 8 * MIB
"""What the server may have more than before besides: what the interpreter takes from the system for
the first of its kind, and keeps for the next."""

WITHOUT_A_WORD = frozenset({"sockets", "silent"})
"""Attacks that may be over before they have sent anything."""


@pytest.fixture
def processes() -> Iterator[Processes]:
    with Processes() as started:
        yield started


@pytest.mark.alone
@pytest.mark.parametrize("name", ATTACKS)
def test_nobody_else_notices(processes: Processes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder) / 'chat.db'}"
        server = processes.add(ServerProcess("--store", store, env=UNPRIVILEGED))

        outcome = attacked(
            processes, server, name, SECONDS, SCALE, calm_seconds=CALM_SECONDS, memory_seconds=0
        )

        assert outcome.sent or name in WITHOUT_A_WORD, outcome
        late = LATE if outcome.connections == 1 else LATE_OF_MANY
        assert outcome.during < late + 10 * outcome.calm + outcome.starved, outcome
        assert outcome.most - outcome.before < ROOM + PER_CONNECTION * outcome.connections, outcome
        # What was said at the end may have waited for a processor with all that was said before.
        starved = outcome.starved + outcome.starved_at_end
        assert outcome.end < late + 10 * outcome.calm + starved, outcome
        assert (outcome.left, outcome.kept) == (0, 0), outcome
        if name == "two_readings":
            assert outcome.fate == f"{outcome.connections} answered 400, 1 time", outcome
