"""A real Redis for tests: on a free port, with its data in a directory of its own."""

import shutil
from pathlib import Path

from tests.processes import Process, Processes, free_port, not_tested


def require_redis() -> None:
    """Skip the test if there is no `redis-server`; with `CI=true`, fail."""
    if shutil.which("redis-server") is None:
        not_tested("redis-server is not here: the Redis store is NOT tested")


class RedisServer(Process):
    """A running `redis-server`, ready for commands.

    Attributes:
        port: on 127.0.0.1.
        url: as the store takes it.
    """

    def __init__(self, directory: Path, *options: str, port: int | None = None) -> None:
        """Start it in `directory`, with these options of its configuration; nothing is written to
        disk unless they say so. With `port`, where another one was before."""
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        own = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir"]
        super().__init__(["redis-server", *own, str(directory), *options])
        try:
            self.wait_for_line("Ready to accept connections")
        except AssertionError:
            self.kill()
            raise


ON_DISK = ("--appendonly", "yes", "--appendfsync", "always")
"""Options of a Redis that keeps everything it has answered, whatever becomes of it."""


class DurableRedis:
    """A `redis-server` that keeps everything it has answered, can be killed, and comes back.

    Attributes:
        url: as the store takes it.
        process: the one that runs, or ran last.
    """

    def __init__(self, processes: Processes, directory: Path) -> None:
        """Start it; `directory` holds its files."""
        self._processes = processes
        self._directory = directory
        self.process = processes.add(RedisServer(directory, *ON_DISK))
        self.url = self.process.url

    def start(self) -> None:
        """Start it again with what it has stored, and wait until it answers."""
        again = RedisServer(self._directory, *ON_DISK, port=self.process.port)
        self.process = self._processes.add(again)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
