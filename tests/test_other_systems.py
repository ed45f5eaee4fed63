"""The library and the client import and connect where there is no POSIX, as on Windows."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import StartProcess
from tests.processes import ServerProcess

ELSEWHERE = """
import os, select, signal, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
for module, name in (
    (os, "fork"), (os, "register_at_fork"), (signal, "SIGHUP"), (signal, "SIGUSR1"),
    (select, "epoll"), (select, "poll"),
):
    delattr(module, name)
"""
"""This system, without what others have not. `None` in `sys.modules` is an ImportError."""

PROGRAMS = {
    "the library": """
        from capnweb_sync import batch, connect
        with connect(url) as session:
            print(session.main.listUsers().result())
        with batch(url.replace("ws:", "http:")[:-2] + "batch") as api:
            print(api.listUsers().result())
    """,
    "what serves": """
        from capnweb_sync import RpcTarget, serve
        from capnweb_sync.testing import pair
        class Api(RpcTarget):
            def users(self) -> list[str]:
                return []
        for service in (serve(Api), serve(for_request=lambda request: Api())):
            service.blueprint("/rpc")
        with pair(Api) as both:
            print(both.main.users().result())
            print(both.main.users().result())
    """,
    "the chat's library": """
        from chatclient import ChatClient
        with ChatClient(url, "Alice") as chat:
            chat.send("Hello")
            print([name for name in chat.users() if name != "Alice"])
            print(chat.history(1)[1:])
    """,
    "the shell": """
        from capnweb_sync.__main__ import main
        main(["call", url, "listUsers"])
        main(["call", "--batch", url.replace("/ws", "/batch"), "listUsers"])
    """,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_works_without_what_only_posix_has(
    program: str, chat_server: ServerProcess, start_process: StartProcess
) -> None:
    code = f"{ELSEWHERE}\nurl = {chat_server.url!r}\nif True:{PROGRAMS[program]}"

    process = start_process(sys.executable, "-c", code)

    assert process.wait() == 0, process.output
    assert process.lines == ["[]", "[]"]


def test_the_chats_program_talks_without_what_only_posix_has(
    chat_server: ServerProcess, start_process: StartProcess
) -> None:
    arguments = ["--url", chat_server.url, "--username", "Alice"]
    code = f"{ELSEWHERE}\nfrom chatclient.__main__ import main\nmain({arguments!r})"
    process = start_process(sys.executable, "-c", code, ready="^Type a message")

    process.send_line("Hello")
    process.wait_for_line(r"^\[Alice\]: Hello$")
    process.send_line("/quit")

    assert process.wait() == 0, process.output
