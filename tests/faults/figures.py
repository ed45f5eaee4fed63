"""What a server holds, as `/metrics` and the server itself say, and whether it has grown."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import NamedTuple

from tests.chatserver.observe.scraped import Scraped
from tests.faults.deployment import Deployment, resident_bytes
from tests.processes import wait_until

MIB = 1024 * 1024

MAX_GROWTH = 0.03
"""What of it may be noise."""


class WatchedDeployment(Deployment):
    """One process of the chat, which can be asked how many greenlets it has."""

    def command(self) -> list[str]:
        """See `Deployment.command`."""
        return [sys.executable, "-m", "tests.faults.watched"]

    def greenlets(self) -> int:
        """How many it has now."""
        said = len(self.process.error_lines)
        self.process.signal(signal.SIGUSR1)
        counted = self.process.wait_for_line(r"greenlets=(\d+)", after=said, stderr=True)
        return int(counted[1])


class Figures(NamedTuple):
    """What a server holds at one moment; `memory` in MiB."""

    memory: float
    files: int
    threads: int
    greenlets: int

    @classmethod
    def of(cls, deployment: WatchedDeployment, connections: int) -> Figures:
        """Those of a server that has so many connections, once all others are gone."""

        def settled() -> bool:
            now = Scraped(deployment.address)
            return now("chat_connections") == connections and now("chat_outbox_bytes") == 0

        wait_until(settled, message=f"it has {connections} connections, and nothing waits for them")
        process = Path(f"/proc/{deployment.serving_pid}")
        return cls(
            resident_bytes(deployment.serving_pid) / MIB,
            len(list((process / "fd").iterdir())),
            len(list((process / "task").iterdir())),
            deployment.greenlets(),
        )

    def __str__(self) -> str:
        return (
            f"{self.memory:.1f} MiB, {self.files} files, {self.threads} threads,"
            f" {self.greenlets} greenlets"
        )

    def growth_since(self, before: Figures) -> list[str]:
        """A sentence for each that is larger than before by more than noise."""
        return [
            f"{name} grew from {old:.1f} to {new:.1f}."
            for name, old, new in zip(self._fields, before, self, strict=True)
            if new > old * (1 + MAX_GROWTH)
        ]
