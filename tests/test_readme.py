"""What the README says can be typed works as typed, but for the port and the database."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from chatclient import ChatClient
from tests.conftest import StartProcess
from tests.processes import REPOSITORY, Process, ServerProcess, free_port, not_tested

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
INTEROP = REPOSITORY / "tests" / "interop"


class Chat:
    """A server started by the README's first command."""

    def __init__(self, directory: Path, start_process: StartProcess) -> None:
        self.port = free_port()
        self.start_process = start_process
        self.env = {
            "CHAT_VENV": sys.prefix,
            "CHAT_PORT": str(self.port),
            "CHAT_STORE": f"sqlite:///{directory}/chat.db",
        }
        self.url = f"ws://127.0.0.1:{self.port}/rpc/ws"
        assert "$ scripts/run_server.sh\n" in README
        start_process(
            str(REPOSITORY / "scripts" / "run_server.sh"),
            env=self.env,
            ready=ServerProcess.BANNER,
        )

    def typed(self, command: str, *, ready: str | None = None) -> Process:
        """Run what the README says, at this server."""
        here = command.replace("run_client.sh", f"run_client.sh --url {self.url}")
        return self.start_process("sh", "-c", here, env=self.env, ready=ready)

    def here(self, program: str) -> str:
        """A program of the README's, for this server."""
        return program.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")


@pytest.fixture
def chat(tmp_path: Path, start_process: StartProcess) -> Chat:
    if not (Path(sys.prefix) / ".installed").exists():
        not_tested("scripts/ made no environment here: the README's commands are not tested")
    return Chat(tmp_path, start_process)


def block(language: str) -> str:
    """The one block of code in this language."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(code)


def test_two_people_chat_by_the_commands(chat: Chat) -> None:
    alice = chat.typed("scripts/run_client.sh --username Alice", ready="^Type a message")
    bob = chat.typed("scripts/run_client.sh --username Bob", ready="^Type a message")

    alice.send_line("Hello everyone!")
    alice.wait_for_line(r"^\[Alice\]: Hello everyone!$")
    bob.wait_for_line(r"^\[Alice\]: Hello everyone!$")
    bob.send_line("Hi Alice!")
    alice.wait_for_line(r"^\[Bob\]: Hi Alice!$")
    for person in (alice, bob):
        person.send_line("/quit")
        assert person.wait() == 0


def test_the_pipe_says_its_message(chat: Chat) -> None:
    (command,) = re.findall(r"`(printf .*? \| scripts/run_client\.sh .*?)`", README)

    ci = chat.typed(command)

    ci.wait_for_line(r"^\[CI\]: The build is green\.$")
    assert ci.wait() == 0


def test_the_shell_calls_a_method(chat: Chat) -> None:
    (command,) = re.findall(r"^\$ (capnweb call .*)$", README, re.MULTILINE)
    with ChatClient(chat.url, "Alice"), ChatClient(chat.url, "Bob"):
        called = chat.typed(f"{sys.prefix}/bin/{chat.here(command)}")

        assert called.wait() == 0

    assert called.lines == ['["Alice","Bob"]']


def test_the_python_program_answers(chat: Chat, tmp_path: Path) -> None:
    program = tmp_path / "bot.py"
    program.write_text(chat.here(block("python")), encoding="utf-8")
    with ChatClient(chat.url, "Alice") as alice:
        chat.start_process(sys.executable, str(program))
        arrival = (event for event in alice.events() if event.user == "Echo bot")
        next(arrival)

        alice.send("ping")

        assert next(event.text for event in arrival) == "pong"


def test_the_javascript_program_joins_says_hello_and_lists(chat: Chat, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (INTEROP / "node_modules").exists():
        pytest.skip("node is not here: the README's JavaScript is not tested")
    (for_node_20,) = re.findall(r"`(globalThis\.WebSocket = .*?)` first", README)
    program = tmp_path / "hello.mjs"
    program.write_text(f"{for_node_20};\n{chat.here(block('js'))}", encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(INTEROP / "node_modules")

    hello = chat.start_process(node, str(program))

    hello.wait_for_line(r"^Carol Hello from JavaScript!$")
    hello.wait_for_line(r"^\[ 'Carol' \]$")
    assert hello.wait() == 0
