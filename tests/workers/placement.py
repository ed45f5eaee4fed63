"""Which worker serves which connection, as the kernel has it, and how to come to a worker of one's
choice: they all accept from one socket, and chance decides."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGSTOP

from tests.chatserver.wire import WireClient
from tests.faults.deployment import GunicornDeployment
from tests.faults.trial import Trial
from tests.processes import wait_until

ESTABLISHED = "01"
"""State of a connection in /proc/net/tcp (proc(5))."""

STOPPED = "T"
"""State of a process in /proc/PID/stat (proc(5))."""


def connections(deployment: GunicornDeployment) -> dict[int, set[int]]:
    """The ports of the clients that each worker serves, by its process id."""
    owners: dict[str, int] = {}
    served: dict[int, set[int]] = {}
    for worker in deployment.workers():
        served[worker] = set()
        for descriptor in Path(f"/proc/{worker}/fd").iterdir():
            with suppress(FileNotFoundError):  # It was closed meanwhile.
                owners[os.readlink(descriptor)] = worker
    _, *lines = Path("/proc/net/tcp").read_text().splitlines()
    for line in lines:
        _, local, remote, state, *_, inode = line.split()[:10]
        if state == ESTABLISHED and port_of(local) == deployment.address[1]:
            owner = owners.get(f"socket:[{inode}]")
            if owner is not None:
                served[owner].add(port_of(remote))
    return served


def port_of(address: str) -> int:
    """The port of an address in /proc/net/tcp."""
    return int(address.partition(":")[2], 16)


@contextmanager
def only(deployment: GunicornDeployment, worker: int) -> Iterator[None]:
    """All other workers sleep: who connects within the block comes to this one."""
    others = [pid for pid in deployment.workers() if pid != worker]
    try:
        for pid in others:
            stop(pid)
        yield
    finally:
        for pid in others:
            os.kill(pid, SIGCONT)


def stop(pid: int) -> None:
    """SIGSTOP, and wait until the process stands still."""
    os.kill(pid, SIGSTOP)
    stat = Path(f"/proc/{pid}/stat")
    wait_until(
        lambda: stat.read_text().rpartition(")")[2].split()[0] == STOPPED,
        message=f"the process {pid} stands still",
    )


def connect_to(deployment: GunicornDeployment, worker: int) -> WireClient:
    """A new connection that this worker serves."""
    with only(deployment, worker):
        return WireClient(deployment.url)


def spread(trial: Trial, deployment: GunicornDeployment, least: int) -> None:
    """Move members until each worker has at least so many: their connections are cut, and they come
    back to the one worker that is awake."""
    for worker in deployment.workers():
        with only(deployment, worker):
            while (lacking := least - len(connections(deployment)[worker])) > 0:
                richest = max(connections(deployment).values(), key=len)
                move(trial, sorted(richest)[:lacking])


def move(trial: Trial, ports: list[int]) -> None:
    """Cut the connections of the proxy with these ports; returns when as many are there again."""
    links = trial.proxy.links
    for link in links:
        if link.up.sink.getsockname()[1] in ports:
            link.cut()
    wait_until(lambda: len(trial.proxy.links) == len(links), message="members have come back")
