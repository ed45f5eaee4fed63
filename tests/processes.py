"""Real processes for tests: heard line by line, awaited with deadlines, never left behind.

Nothing here knows the chat or the protocol.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn, TypeVar

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

#: Seconds that a condition may take on a busy machine before a test fails. A passing test never
#: waits for it.
DEADLINE = 20.0

#: Seconds between two looks at a condition.
POLL_INTERVAL = 0.005


def not_tested(sentence: str) -> NoReturn:
    """Skip the test, since what it needs is not here; in CI, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(
    condition: Callable[[], object], timeout: float = DEADLINE, message: str = ""
) -> None:
    """Look at `condition` until it is true.

    Args:
        condition: called again and again, from the caller's thread.
        timeout: seconds.
        message: what was waited for, for the failure.

    Raises:
        AssertionError: it was still false after `timeout`.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            what = message or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"after {timeout} seconds still not true: {what}")
        time.sleep(POLL_INTERVAL)


class Process:
    """A child process in a process group of its own, whose output is collected by threads.

    Output is text; undecodable bytes become U+FFFD. Prefer the fixture `start_process`, which stops
    it when the test is over.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path = REPOSITORY,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command`; `env` is added to this process's environment."""
        self.command = list(command)
        self._popen = subprocess.Popen(
            self.command,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
            start_new_session=True,
        )
        self._news = threading.Condition()
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._readers = [
            self._collect(self._popen.stdout, self._stdout),
            self._collect(self._popen.stderr, self._stderr),
        ]

    def _collect(self, stream: IO[str] | None, lines: list[str]) -> threading.Thread:
        assert stream is not None

        def read() -> None:
            for line in stream:
                with self._news:
                    lines.append(line.rstrip("\n"))
                    self._news.notify_all()
            with self._news:
                self._news.notify_all()

        reader = threading.Thread(target=read, name=f"output of {self.command[0]}", daemon=True)
        reader.start()
        return reader

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not exited yet."""
        return self._popen.poll() is None

    @property
    def lines(self) -> list[str]:
        """The lines of standard output so far, without their ends."""
        with self._news:
            return list(self._stdout)

    @property
    def error_lines(self) -> list[str]:
        """The lines of standard error so far, without their ends."""
        with self._news:
            return list(self._stderr)

    @property
    def output(self) -> str:
        """Everything that it wrote so far, for the message of a failure."""
        return "\n".join(
            [f"$ {' '.join(self.command)}", *self.lines, "--- standard error:", *self.error_lines]
        )

    def wait_for_line(
        self, pattern: str, *, after: int = 0, timeout: float = DEADLINE, stderr: bool = False
    ) -> re.Match[str]:
        """Wait for the first line that `pattern` is found in (`re.search`).

        Args:
            pattern: a regular expression.
            after: how many lines at the start not to look at.
            timeout: seconds.
            stderr: look at standard error instead of standard output.

        Raises:
            AssertionError: no such line came in time, or the output ended without one.
        """
        lines = self._stderr if stderr else self._stdout
        reader = self._readers[stderr]
        deadline = time.monotonic() + timeout
        seen = after
        with self._news:
            while True:
                # Asked before looking, so that a last line written just before the end counts.
                ended = not reader.is_alive()
                while seen < len(lines):
                    if match := re.search(pattern, lines[seen]):
                        return match
                    seen += 1
                left = deadline - time.monotonic()
                if ended or left <= 0:
                    break
                # The end of a thread notifies nobody, so look again after a moment.
                self._news.wait(min(left, 0.1))
        why = "its output ended" if ended else f"nothing in {timeout} seconds"
        raise AssertionError(f"no line with {pattern!r} ({why}):\n{self.output}")

    def send_line(self, line: str) -> None:
        """Write one line to its standard input."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()

    def end_input(self) -> None:
        """Close its standard input."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone, not to its group."""
        self._popen.send_signal(number)

    def wait(self, timeout: float = DEADLINE) -> int:
        """Wait for its end and for the end of its output; the exit status.

        Raises:
            AssertionError: it was still running after `timeout` seconds.
        """
        try:
            status = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} seconds:\n{self.output}") from None
        for reader in self._readers:
            reader.join(timeout)
        return status

    def terminate(self, timeout: float = DEADLINE) -> int:
        """Send SIGTERM and wait for the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """End the whole process group at once and give its pipes back; idempotent."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # Everybody in the group is gone already.
        self._popen.wait()
        for reader in self._readers:
            reader.join(DEADLINE)
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                pass  # Input that it never read.


class ServerProcess(Process):
    """The chat server, started as its README says, ready to accept connections.

    Attributes:
        url: where it speaks Cap'n Web, `ws://127.0.0.1:PORT/rpc/ws`; `wss` with TLS.
        address: host and port, for plain sockets.
        http_url: `http://127.0.0.1:PORT`, without a slash at the end; `https` likewise.
    """

    #: Matches the banner, which is printed when connections are accepted.
    BANNER = r"Chat Server running on (?P<url>ws(?P<s>s?)://(?P<host>[^:/]+):(?P<port>\d+)/rpc/ws)"

    def __init__(self, *options: str, env: Mapping[str, str] | None = None) -> None:
        """Start it on a free port with an in-memory store; `options` come after and win. Of what
        goes well nothing is logged, unless `env` or they ask for it."""
        env = {"CHAT_LOG_LEVEL": "WARNING", **(env or {})}
        own = ["--host", "127.0.0.1", "--port", str(free_port()), "--store", "memory:"]
        super().__init__([sys.executable, "-m", "chatserver", *own, *options], env=env)
        try:
            banner = self.wait_for_line(self.BANNER)
        except AssertionError:
            self.kill()
            raise
        self.url = banner["url"]
        self.address = (banner["host"], int(banner["port"]))
        self.http_url = f"http{banner['s']}://{banner['host']}:{banner['port']}"


AnyProcess = TypeVar("AnyProcess", bound=Process)


class Processes:
    """The processes of one test: kills every one at the end, and prints what they wrote.

    pytest shows what a test prints only when the test fails.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """`quiet` keeps what they wrote to itself."""
        self._quiet = quiet
        self._started: list[Process] = []

    def add(self, process: AnyProcess) -> AnyProcess:
        """Take charge of a process."""
        self._started.append(process)
        return process

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._started:
            process.kill()
            if not self._quiet:
                print(process.output)
