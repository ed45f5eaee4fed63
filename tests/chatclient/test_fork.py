"""A chat in a process that forks stays the parent's."""

import os
import sys

import pytest

from tests.conftest import StartProcess, StartServer

CHILD = """
import os, sys
from chatclient import ChatClient, ChatClosed, ChatError

def refused(use):
    try:
        use()
    except ChatError as error:
        assert "forked" in str(error), error
        return
    raise AssertionError("no error")

with ChatClient(sys.argv[1], "Alice") as chat:
    process = os.fork()
    if not process:
        refused(lambda: chat.send("from the child"))
        refused(lambda: chat.users())
        refused(lambda: next(chat.events()))
        chat.close()
        with ChatClient(sys.argv[1], "Child") as own:
            own.send("from a chat of its own")
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    chat.send("from the parent")
    assert chat.users() == ["Alice"]
    heard = chat.messages()
    assert [next(heard).text for _ in range(2)] == ["from a chat of its own", "from the parent"]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_a_child_can_do_nothing_with_the_chat_of_its_parent_nor_to_it(
    start_server: StartServer, start_process: StartProcess, patch: str
) -> None:
    script = patch + CHILD
    process = start_process(
        sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, start_server().url
    )
    assert process.wait() == 0, process.output
    assert process.error_lines == []
