"""A `redis-server` of the tests' own that keeps everything it has answered, and can be killed."""

import shutil
import socket
from pathlib import Path

from tests.processes import Process, Processes, free_port, wait_until


class RedisServer:
    """On a free port, with an append-only file that is synced with each write.

    Attributes:
        url: for redis-py and for the chat's store.
    """

    def __init__(self, processes: Processes, directory: Path) -> None:
        """Start it; `directory` holds its files."""
        self._processes = processes
        self._directory = directory
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.process = self.start()

    @staticmethod
    def is_installed() -> bool:
        """Whether there is one on this machine."""
        return shutil.which("redis-server") is not None

    def start(self) -> Process:
        """Start it again with what it has stored, and wait until it answers."""
        options = {
            "--port": str(self._port),
            "--bind": "127.0.0.1",
            "--dir": str(self._directory),
            "--appendonly": "yes",
            "--appendfsync": "always",
            "--save": "",
        }
        command = ["redis-server", *(word for option in options.items() for word in option)]
        self.process = self._processes.add(Process(command))
        wait_until(self._answers, message="Redis answers")
        return self.process

    def _answers(self) -> bool:
        assert self.process.running, self.process.output
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
