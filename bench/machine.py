"""The machine: its cores, its processes, a server process on a core of its own."""

from __future__ import annotations

import os
import platform
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds; the kernel's unit of CPU time in /proc
_STARTED_WITHIN = 30.0  # seconds for a server to accept connections
_STOPPED_WITHIN = 10.0  # seconds between SIGTERM and SIGKILL


class Server:
    """A running server process, by default with a core of its own, and what it costs.

    Args:
        command: the program and its arguments.
        directory: where it runs.
        port: the port of 127.0.0.1 that it was told to listen on.
        core: the number of its core; None: any.

    Raises:
        RuntimeError: it ended, or did not listen in time; with what it wrote to standard error.
    """

    def __init__(
        self, command: Sequence[str], directory: Path, port: int, core: int | None
    ) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        own_cores = os.sched_getaffinity(0)
        cores = range(os.cpu_count() or 1) if core is None else {core}
        os.sched_setaffinity(0, cores)  # what is started here inherits it
        try:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,  # Ctrl+C is for the measurement, which stops this in order
            )
        finally:
            os.sched_setaffinity(0, own_cores)
        try:
            self._wait_listening(port)
        except BaseException:
            self.stop()
            raise

    def cpu_seconds(self) -> float:
        """User and system time used so far, all threads, children included."""
        ticks = 0
        for pid in self.processes():
            fields = _stat(pid)
            ticks += sum(int(field) for field in fields[11:15])  # utime stime cutime cstime
        return ticks * _TICK

    def memory_kib(self) -> int:
        """Proportional set size (PSS) of the process and its children, in KiB."""
        return sum(_pss(pid) for pid in self.processes())

    def stop(self) -> None:
        """End it, politely first."""
        self._process.terminate()
        try:
            self._process.wait(_STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._errors.close()

    def _wait_listening(self, port: int) -> None:
        deadline = time.monotonic() + _STARTED_WITHIN
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended at once:\n{self.errors()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the server did not listen:\n{self.errors()}")

    def errors(self) -> str:
        """The end of what it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read()[-2000:].decode(errors="replace")

    def processes(self) -> Iterator[int]:
        """The process ids of it and of its children."""
        parents = {pid: int(_stat(pid)[1]) for pid in _all_processes()}
        for pid in parents:
            ancestor = pid
            while ancestor in parents and ancestor != self._process.pid:
                ancestor = parents[ancestor]
            if ancestor == self._process.pid:
                yield pid


def _all_processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat (proc(5)) from the state on; zeros if the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 20
    return text.rpartition(")")[2].split()


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss in smaps_rollup")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def allow_connections(wanted: int) -> int:
    """Raise the limit of open files to `wanted` for this process and its children; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        try:  # root may
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, PermissionError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    elif soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def cpu_seconds_of_others() -> float:
    """CPU seconds used here so far by others than this process and the servers it ended."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + irq + softirq) * _TICK - sum(os.times()[:4])


def description() -> str:
    """One line: processor, cores, memory, kernel, Python."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model}, {os.cpu_count()} cores, {gib:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )
