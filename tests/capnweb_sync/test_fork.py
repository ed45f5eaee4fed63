"""A child of `fork` inherits no session, and nothing that it does reaches its parent's peers."""

import os
import sys

import pytest

from capnweb_sync import connect
from tests.capnweb_sync.frame_peer import FramePeer
from tests.capnweb_sync.test_client import Api, Server
from tests.conftest import StartProcess
from tests.processes import DEADLINE

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

PATCH = "from gevent import monkey; monkey.patch_all()\n"

PARENT = """
import atexit, gc, os, subprocess, sys, time
from capnweb_sync import RpcStub, broadcast, connect
from capnweb_sync.errors import SessionOfParent

def refused(use):
    try:
        use()
    except SessionOfParent:
        return
    raise AssertionError("no error")

def child():
    {child}

session = connect(sys.argv[1])
main = session.main
answered = main.double(4)
assert answered.result(5) == 8
pending = main.double(5)
local = RpcStub(lambda value: value + 1)
assert local(1).result(5) == 2
subprocess.run([sys.executable, "-c", ""], check=True)
process = os.fork()
if not process:
    child()
    sys.exit(0)
for number in range(100):
    assert main.double(number).result(5) == 2 * number
assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
assert pending.result(5) == 10 and answered.result(5) == 8
assert main.double(21).result(5) == 42
session.close()
"""

CHILDREN = {
    "ends": "pass",
    "drops its stubs": "global main, pending, answered, session\n"
    "    del main, pending, answered, session; gc.collect()",
    "disposes and closes": "pending.dispose(); answered.dispose(); main.dispose()\n"
    "    session.close(); assert session.closed",
    "leaves the blocks of its parent": "\n    with session, pending: sys.exit(0)",
    "closes at its end": "atexit.register(session.close)",
    "uses them": "refused(lambda: main.double(1)); refused(lambda: pending.result(5))\n"
    "    refused(pending.done); refused(main.dup); refused(session.main.double)\n"
    "    refused(lambda: main.on_broken(print)); refused(lambda: broadcast([main], 'double', 1))",
    "calls its own objects": "assert local(2).result(5) == 3\n"
    "    assert RpcStub(lambda: 7)().result(5) == 7",
    "connects itself": "other = connect(sys.argv[2])\n"
    "    assert other.main.double(3).result(5) == 6; other.close()",
    "goes on for a while": "time.sleep(0.3)",
    "forks": "os.fork() and os.wait()",
    "starts a program": "subprocess.run([sys.executable, '-c', ''], check=True)",
    "starts a worker": "import multiprocessing\n"
    "    context = multiprocessing.get_context('fork')\n"
    "    worker = context.Process(target=refused, args=(lambda: main.double(1),))\n"
    "    worker.start(); worker.join(); assert worker.exitcode == 0",
}


@pytest.mark.parametrize("patched", [False, True], ids=["threads", "gevent"])
@pytest.mark.parametrize("child", CHILDREN.values(), ids=CHILDREN)
def test_the_session_of_the_parent_goes_on_whatever_a_child_does(
    start_process: StartProcess, child: str, patched: bool
) -> None:
    script = (PATCH if patched else "") + PARENT.replace("{child}", child)
    with FramePeer() as peer, FramePeer() as other:
        servers = [Server(peer, Api())]
        if "argv[2]" in child:
            servers.append(Server(other, Api()))
        process = start_process(
            sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, peer.url, other.url
        )
        assert process.wait() == 0, process.output
        assert process.error_lines == []
        for server in servers:
            server.thread.join(DEADLINE)


SERVER = """
from gevent import monkey; monkey.patch_all()
import os, sys, gevent, gevent.event
from gevent.pywsgi import WSGIServer
from capnweb_sync import RpcTarget, RpcStub, serve
from capnweb_sync.server import WebSocketHandler

class Api(RpcTarget):
    def double(self, number: int) -> int:
        return 2 * number

    def fork(self) -> None:
        wanted.set()
        forked.wait()
        forked.clear()

    def drop(self) -> None:
        for connection in service.connections:
            connection.abort()

wanted, forked = gevent.event.Event(), gevent.event.Event()
service = serve(Api)
server = WSGIServer(("127.0.0.1", 0), service, handler_class=WebSocketHandler, log=None)
server.start()
print("port", server.server_port, flush=True)
while True:
    wanted.wait()
    wanted.clear()
    if not os.fork():
        assert RpcStub(lambda: 7)().result(5) == 7
        server.stop_accepting()
        gevent.sleep({seconds})
        sys.exit(0)
    forked.set()
"""


def test_a_child_of_a_gevent_server_reads_and_holds_none_of_its_connections(
    start_process: StartProcess,
) -> None:
    process = start_process(sys.executable, "-c", SERVER.replace("{seconds}", "60"))
    port = process.wait_for_line(r"port (\d+)")[1]
    session = connect(f"ws://127.0.0.1:{port}/")
    session.main.fork().result(DEADLINE)
    for number in range(100):
        assert session.main.double(number).result(DEADLINE) == 2 * number
    session.main.drop()
    # The child lives: with a copy of the socket, it would keep the connection from ending.
    session._transport._gone.wait(DEADLINE)  # type: ignore[attr-defined]
    assert session.closed
    assert process.error_lines == []


def test_a_child_of_a_gevent_server_that_ends_disturbs_nobody(start_process: StartProcess) -> None:
    process = start_process(sys.executable, "-c", SERVER.replace("{seconds}", "0"))
    port = process.wait_for_line(r"port (\d+)")[1]
    with connect(f"ws://127.0.0.1:{port}/") as session:
        for number in range(3):
            session.main.fork().result(DEADLINE)
            assert session.main.double(number).result(DEADLINE) == 2 * number
    assert process.error_lines == []


BATCH = """
import os, sys
from capnweb_sync import batch
from capnweb_sync.errors import SessionOfParent

collecting = batch(sys.argv[1])
value = collecting.main.double(1)
process = os.fork()
if not process:
    try:
        value.result()
    except SessionOfParent:
        os._exit(0)
    os._exit(1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"""


def test_a_child_does_not_send_the_batch_of_its_parent(start_process: StartProcess) -> None:
    process = start_process(sys.executable, "-c", BATCH, "http://127.0.0.1:9/")
    assert process.wait() == 0, process.output


WITHOUT_FORK = """
import concurrent.futures, logging, os, random, threading  # which know Windows
del os.register_at_fork
import capnweb_sync.client.connect, capnweb_sync.runtimes.threads
"""


def test_everything_is_imported_where_nothing_forks(start_process: StartProcess) -> None:
    process = start_process(sys.executable, "-c", WITHOUT_FORK)
    assert process.wait() == 0, process.output
