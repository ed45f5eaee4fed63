"""A server under test that dies and comes back at the same address with the same store."""

import os
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.processes import DEADLINE, REPOSITORY, Process, Processes, free_port, wait_until


class Deployment:
    """The chat on a port of its own: one process of `python -m chatserver`.

    Attributes:
        store: the URL of its store.
        address: host and port, the same across restarts.
        url: where it speaks Cap'n Web.
        process: the one that was started last.
        folder: of the code that the next start runs.
        health: where that says whether it serves.
    """

    folder = REPOSITORY
    health = "/readyz"

    def __init__(self, processes: Processes, store: str, **settings: object) -> None:
        """Start it and wait until it serves.

        Args:
            processes: takes charge of its processes.
            store: the store's URL.
            settings: of the server: `grace=1` is `CHAT_GRACE=1`.
        """
        self._processes = processes
        self.store = store
        self.address = ("127.0.0.1", free_port())
        self.url = f"ws://127.0.0.1:{self.address[1]}/rpc/ws"
        self._environment = {
            "CHAT_PORT": str(self.address[1]),
            "CHAT_STORE": store,
            # A test looks at what goes wrong.
            "CHAT_LOG_LEVEL": "WARNING",
            # A crowd on one machine: no rates for it.
            "CHAT_UNLIMITED_ADDRESSES": "127.0.0.0/8",
            **{f"CHAT_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.process = self.start()

    def command(self) -> list[str]:
        """How it is started; the settings are in the environment."""
        return [sys.executable, "-m", "chatserver"]

    def start(self) -> Process:
        """Start it again, and wait until it serves."""
        process = Process(self.command(), cwd=self.folder, env=self._environment)
        self.process = self._processes.add(process)
        wait_until(lambda: self.serves() or not self.process.running, message="the server serves")
        assert self.process.running, self.process.output
        return self.process

    def serves(self) -> bool:
        """Whether it accepts connections and says that it is well."""
        url = f"http://127.0.0.1:{self.address[1]}{self.health}"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def kill(self) -> None:
        """`kill -9` for all its processes."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP for all its processes."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT for all its processes."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def terminate(self) -> int:
        """SIGTERM, and wait for the exit status."""
        return self.process.terminate()

    @property
    def serving_pid(self) -> int:
        """The process that serves."""
        return self.process.pid


class GunicornDeployment(Deployment):
    """The chat under gunicorn with a number of workers."""

    def __init__(self, processes: Processes, store: str, workers: int, **settings: object) -> None:
        super().__init__(processes, store, workers=workers, log_level="info", **settings)
        wait_until(lambda: len(self.workers()) == workers, message="all workers run")

    def command(self) -> list[str]:
        """See `Deployment.command`."""
        configuration = ["-c", "python:chatserver.gunicorn_conf", "chatserver:create_app()"]
        return [sys.executable, "-m", "gunicorn", *configuration]

    def workers(self) -> list[int]:
        """The process ids of its workers, the oldest first."""
        master = self.process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text()
        return sorted(int(pid) for pid in children.split())

    def kill_worker(self, pid: int) -> None:
        """`kill -9` for one worker; wait until the master has noticed."""
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in self.workers(), DEADLINE, "the worker is gone")

    def reload(self) -> None:
        """SIGHUP for the master: new workers replace the old ones."""
        self.process.signal(signal.SIGHUP)


def resident_bytes(pid: int) -> int:
    """The memory of a process that is in RAM (VmRSS of proc(5)), in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory")
