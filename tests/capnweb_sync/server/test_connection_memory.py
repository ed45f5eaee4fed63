"""What connections leave behind, and what an idle one costs."""

import gc
import resource
import sys
from pathlib import Path

from capnweb_sync.server import Connection
from tests.conftest import StartProcess

from .conftest import Serve
from .frame_building import client_frame
from .serving import Client, connect
from .waiting import eventually


def test_connects_and_disconnects_of_every_kind_leave_no_growth(serve: Serve, full: bool) -> None:
    """The garbage collector is off: everything is freed by reference counts, in no cycle."""
    server = serve(max_message=1000)
    endings = (
        lambda client: client.close(1000),
        lambda client: client.reset(),
        lambda client: client.socket.close(),
        lambda client: (client.send(client_frame(b"\xff")), client.at_end(), client.socket.close()),
    )

    def rounds(count: int) -> None:
        for number in range(count):
            client = connect(server.port)
            client.send_text("x")
            endings[number % len(endings)](client)
            server.sessions.clear()
            server.closed.clear()
        eventually(lambda: not len(server.connections))
        server.sessions.clear()
        server.closed.clear()

    def connections_alive() -> int:
        return sum(isinstance(thing, Connection) for thing in gc.get_objects())

    rounds(200)
    gc.collect()
    gc.disable()
    try:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rounds(10_000 if full else 1_000)
        alive = connections_alive()
        growth_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    finally:
        gc.enable()

    assert alive == 0
    assert growth_kib < 2_000


def test_an_idle_connection_costs_little_memory(start_process: StartProcess) -> None:
    """About 1 KiB without a session of the core. Resident memory of a process of its own."""
    server = start_process(sys.executable, "-m", "tests.capnweb_sync.server.example_app")
    port = int(server.wait_for_line(r"listening on (\d+)")[1])

    def resident_kib() -> int:
        status = Path(f"/proc/{server.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def open_many(count: int) -> list[Client]:
        opened = [connect(port) for _ in range(count)]
        for client in opened:
            client.send_text("hello")
        assert [client.text() for client in opened] == ["hello"] * count
        return opened

    clients = open_many(200)  # what a process allocates once
    before = resident_kib()
    clients += open_many(1000)
    per_connection = (resident_kib() - before) / 1000
    for client in clients:
        client.socket.close()

    print(f"{per_connection:.2f} KiB per idle connection")
    assert per_connection < 2.0
