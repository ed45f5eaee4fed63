"""A child of `fork` has no store: it uses nothing of its parent's, not even to close it."""

import os
import sys
from pathlib import Path

import pytest

from chatserver.store import open_store
from chatserver.store.sqlite import ownership
from tests.conftest import StartProcess

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

PARENT = """
from gevent import monkey; monkey.patch_all()
import os, sys, gevent
from chatserver.errors import Unavailable
from chatserver.rooms.stays import Stays
from chatserver.store import open_store

def refused(ask):
    try:
        ask()
    except Unavailable as error:
        assert "forked" in str(error), error
        return
    raise AssertionError("no error")

store = open_store(sys.argv[1])
room = Stays(store)
room.start()

def told():
    with gevent.Timeout(5):
        while room.feed.position < store.last_id:
            gevent.sleep(0.01)

claim = store.claim("alice", "Alice", "worker.1", None).result(5).claim
store.append(claim, "before").result(5)
store.read()
told()
process = os.fork()
if not process:
    refused(lambda: store.append(claim, "from the child"))
    refused(store.counts)
    refused(store.tick)
    refused(store.read)
    gevent.sleep(0.3)
    store.close()
    sys.exit(0)
for number in range(100):
    store.append(claim, f"message {number}").result(5)
assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
store.append(claim, "after").result(5)
said = [event.text for event in store.read() if event.type == "chat"]
assert said == ["before", *(f"message {number}" for number in range(100)), "after"], said
told()
assert room.running and store.available
room.stop()
"""


@pytest.fixture(params=["memory:", "sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        url: str = request.getfixturevalue("redis_url")
        return url
    return f"sqlite:///{tmp_path}/chat.db" if request.param == "sqlite" else "memory:"


def test_the_store_of_the_parent_goes_on_whatever_a_child_does(
    url: str, start_process: StartProcess
) -> None:
    process = start_process(sys.executable, "-W", "error::ResourceWarning", "-c", PARENT, url)
    assert process.wait() == 0, process.output


LEAVING = """
import os, sys, time
from chatserver.store import open_store

store = open_store(sys.argv[1])
if os.fork():
    os._exit(0)
print("the child lives", flush=True)
time.sleep(60)
"""


def test_a_child_does_not_keep_the_database_from_the_successor_of_its_parent(
    tmp_path: Path, start_process: StartProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    start_process(sys.executable, "-c", LEAVING, url, ready="the child lives")._popen.wait()
    monkeypatch.setattr(ownership, "WAIT_SECONDS", 0.0)
    open_store(url).close()
