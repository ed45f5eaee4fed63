"""All attacks at full length, as a table: `python -m tests.attacks [--seconds 20] [name…]`.

Each runs against a server of its own with the default store and default settings, except that
addresses of this machine are limited like any other.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.attacks.attacks import ATTACKS
from tests.attacks.trial import Outcome, attacked
from tests.processes import Processes, ServerProcess

MIB = 1024 * 1024

UNPRIVILEGED = {"CHAT_UNLIMITED_ADDRESSES": ""}
"""This machine's own addresses are exempt from rates by default."""

HEADING = """\
| attack | MiB sent | p99 before, ms | during | at its end, most | no processor, s | memory, MiB | \
at most | after | the attacker |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"""
"""`no processor`: what the rest of the machine had the server and the bystanders wait, in all."""


def row(name: str, outcome: Outcome) -> str:
    """One line of the table."""
    cells = [
        name.replace("_", " "),
        f"{outcome.sent / MIB:.1f}",
        f"{outcome.calm * 1000:.0f}",
        f"{outcome.during * 1000:.0f}",
        f"{outcome.end * 1000:.0f}",
        f"{outcome.starved:.1f}",
        f"{outcome.before / MIB:.0f}",
        f"{outcome.most / MIB:.0f}",
        f"{outcome.after / MIB:.0f}",
        outcome.fate,
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run them one after another."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each lasts (20)")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the connections (1)")
    parser.add_argument("names", nargs="*", help=f"some of: {', '.join(ATTACKS)}")
    options = parser.parse_args()
    print(HEADING, flush=True)
    for name in options.names or ATTACKS:
        with tempfile.TemporaryDirectory() as folder, Processes(quiet=True) as processes:
            store = f"sqlite:///{Path(folder) / 'chat.db'}"
            server = processes.add(ServerProcess("--store", store, env=UNPRIVILEGED))
            print(
                row(name, attacked(processes, server, name, options.seconds, options.scale)),
                flush=True,
            )


if __name__ == "__main__":
    main()
