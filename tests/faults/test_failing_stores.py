"""A store that cannot be written to: senders are told the truth, and it passes by itself."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chatserver.wire import Rejected, WireClient
from tests.faults import disk_failures
from tests.faults.deployment import Deployment
from tests.faults.record import Outcome
from tests.faults.trial import Trial
from tests.processes import Processes, wait_until

MEMBERS = 10
SEED = 20_300_104

SEND_SECONDS = 0.7
"""How long members wait for an answer: some give up while the store is away."""

WITNESS = "witness"
TESTIMONY = "The store is away."


class FailingStore(ABC):
    """A deployment whose store can be made to fail and to recover."""

    deployment: Deployment

    @abstractmethod
    def fail(self) -> None:
        """From now on nothing can be stored."""

    @abstractmethod
    def recover(self) -> None:
        """The cause is gone."""


class LimitedFileSize(FailingStore):
    """Files must not grow: the kernel refuses each write past a limit (RLIMIT_FSIZE)."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._folder = folder
        self.deployment = Deployment(processes, f"sqlite:///{folder / 'chat.db'}")

    def _limit(self, limit: int) -> None:
        resource.prlimit(
            self.deployment.serving_pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)
        )

    def fail(self) -> None:
        self._limit(0)

    def recover(self) -> None:
        self._limit(resource.RLIM_INFINITY)


class FullDisk(FailingStore):
    """A file system of a few MiB in memory, mounted where only the server sees it."""

    IN_NAMESPACE = ("unshare", "--mount", "--map-root-user")

    def __init__(self, processes: Processes, folder: Path) -> None:
        mount = f"mount -t tmpfs -o size=4m tmpfs {folder}"
        command = [*self.IN_NAMESPACE, "sh", "-c"]
        if (
            shutil.which("unshare") is None
            or subprocess.run([*command, mount], capture_output=True, check=False).returncode
        ):
            pytest.skip("this system lets nobody mount a file system of their own")

        class Mounted(Deployment):
            def command(self) -> list[str]:
                return [*command, f'{mount} && exec "$0" "$@"', *super().command()]

        self.deployment = Mounted(processes, f"sqlite:///{folder / 'chat.db'}")
        self._ballast = Path(f"/proc/{self.deployment.serving_pid}/root/{folder}/ballast")

    def fail(self) -> None:
        with self._ballast.open("wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:
                pass  # Now it is full.

    def recover(self) -> None:
        self._ballast.unlink()


class LockedDatabase(FailingStore):
    """Another process, this one, holds the lock for writing."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.deployment = Deployment(processes, f"sqlite:///{folder / 'chat.db'}")
        self._connection = sqlite3.connect(folder / "chat.db", isolation_level=None)

    def fail(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def recover(self) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


class InjectedFailure(FailingStore):
    """The server on a disk that fails on demand."""

    def __init__(self, processes: Processes, folder: Path, failure: str) -> None:
        self._failure = failure
        self._switch = folder / "failure"

        class Injected(Deployment):
            def command(self) -> list[str]:
                return [sys.executable, "-m", "tests.faults.failing_disk"]

        self.deployment = Injected(
            processes, f"sqlite:///{folder / 'chat.db'}", test_failure=self._switch
        )

    def fail(self) -> None:
        # Renamed into place, so that nobody reads half of it.
        draft = self._switch.with_suffix(".draft")
        draft.write_text(self._failure)
        draft.rename(self._switch)

    def recover(self) -> None:
        self._switch.unlink()


class UnwritableDirectory(FailingStore):
    """Not for root, who may write anywhere. The lock of another process makes the server open its
    files again."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        if os.geteuid() == 0:
            pytest.skip("root may write anywhere; the injected failure stands for this one")
        self._folder = folder
        self._lock = LockedDatabase(processes, folder)
        self.deployment = self._lock.deployment

    def fail(self) -> None:
        self._folder.chmod(0o555)
        self._lock.fail()

    def recover(self) -> None:
        self._folder.chmod(0o755)
        self._lock.recover()


KINDS: dict[str, Callable[[Processes, Path], FailingStore]] = {
    "file size limited": LimitedFileSize,
    "disk full": FullDisk,
    "database locked by another process": LockedDatabase,
    "directory not writable": UnwritableDirectory,
}


@pytest.fixture(params=[*KINDS, *disk_failures.FAILURES])
def store(
    request: pytest.FixtureRequest, processes: Processes, tmp_path: Path
) -> Iterator[FailingStore]:
    kind = KINDS.get(request.param)
    if kind is None:
        yield InjectedFailure(processes, tmp_path, request.param)
    else:
        yield kind(processes, tmp_path)


def refusal(client: WireClient) -> str | None:
    """The code with which one and the same message is refused; None if it is answered."""
    try:
        client.call("sendMessage", WITNESS, TESTIMONY, {"key": "only one"})
    except Rejected as rejected:
        return str(rejected.code)
    return None


def test_while_a_store_fails_senders_are_told_so_and_afterwards_nothing_is_lost_or_doubled(
    store: FailingStore, full: bool
) -> None:
    with Trial(store.deployment, MEMBERS, seed=SEED, send_timeout=SEND_SECONDS) as trial:
        record = trial.record
        witness = WireClient(store.deployment.url)
        witness.join(WITNESS)
        record.unresolved.add(TESTIMONY)
        witness.call("getHistory")
        trial.swarm.start_talking()
        wait_until(lambda: record.count(Outcome.ANSWERED) > 100)

        store.fail()

        assert refusal(witness) == "unavailable"
        ended = record.ended()
        assert witness.call("getHistory"), "what is stored can still be read"
        # Those who have given up, and those who have said something since.
        wait_until(lambda: record.ended() >= ended + (10 if full else 1) * MEMBERS, timeout=300)
        store.recover()
        wait_until(lambda: refusal(witness) is None, message="the server has recovered by itself")
        answered = record.count(Outcome.ANSWERED)
        wait_until(lambda: record.count(Outcome.ANSWERED) > answered + 100)
        assert store.deployment.serves()
        findings = trial.findings()
        stored = [event["text"] for event in witness.events].count(TESTIMONY)
        witness.close()

    assert findings == []
    assert stored == 1
    assert trial.messages[Outcome.REFUSED] == 0
