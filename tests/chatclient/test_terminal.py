"""The terminal program: real processes, on pipes and on pseudo-terminals."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from chatclient import ChatClient
from chatclient.commands import commands, help_text
from chatclient.completion import Words
from chatclient.statuses import FAILED, TAKEN, UNREACHED
from chatclient.terminal import MAX_LINE, split_lines
from tests.chatclient.pseudo_terminal import PseudoTerminal
from tests.conftest import StartProcess, StartServer
from tests.processes import (
    DEADLINE,
    REPOSITORY,
    Process,
    ServerProcess,
    free_port,
    wait_until,
)
from tests.proxy.proxy import Proxy

PROGRAM = (sys.executable, "-m", "chatclient")


def run(*options: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """The program with `typed` as its whole input, until it ends."""
    return subprocess.run(
        [*PROGRAM, *options],
        cwd=REPOSITORY,
        input=typed,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )


@pytest.fixture
def server(chat_server: ServerProcess) -> ServerProcess:
    """A server of this test's own, on which nothing has happened yet."""
    return chat_server


@pytest.fixture
def bob(server: ServerProcess) -> Iterator[ChatClient]:
    """Somebody else in the chat, who has joined before everyone."""
    with ChatClient(server.url, "Bob") as bob:
        # The one of before is told to have left first, and its coming is in the history, too.
        assert "Bob joined the chat" in (event.text for event in bob.events())
        yield bob


@pytest.fixture
def start(server: ServerProcess, start_process: StartProcess) -> Callable[..., Process]:
    """Start the program on pipes, and wait until it has joined."""

    def start(name: str, *options: str, url: str = "") -> Process:
        command = [*PROGRAM, "--url", url or server.url, "--username", name, *options]
        return start_process(*command, ready="Type a message")

    return start


# ---- On pipes


def test_the_transcript_on_pipes(server: ServerProcess) -> None:
    ended = run("--url", server.url, typed="Alice\nHello everyone!\n/quit\n")
    assert ended.stdout == (
        "Enter your username: Alice\n"
        "Joined chat as Alice\n"
        "Users online: ['Alice']\n"
        "\n"
        "Type a message and press Enter (or /quit to leave):\n"
        "[Alice]: Hello everyone!\n"
    )
    assert ended.stderr == ""
    assert ended.returncode == 0


def test_the_end_of_input_waits_for_the_echo_of_what_was_said(server: ServerProcess) -> None:
    typed = "".join(f"message {number}\n" for number in range(50))
    ended = run("--url", server.url, "--username", "Alice", typed=typed)
    assert ended.stdout.splitlines()[4:] == [f"[Alice]: message {number}" for number in range(50)]
    assert ended.returncode == 0


def test_a_pipe_is_said_at_the_server_s_pace(
    start_server: StartServer,
) -> None:
    limited = start_server("--unlimited-addresses", "", "--message-rate", "20:2")
    typed = "".join(f"message {number}\n" for number in range(20))

    ended = run("--url", limited.url, "--username", "Alice", typed=typed)

    assert ended.stdout.splitlines()[4:] == [f"[Alice]: message {number}" for number in range(20)]
    assert (ended.stderr, ended.returncode) == ("", 0)


def test_two_people_chat(start: Callable[..., Process]) -> None:
    alice = start("Alice")
    bob = start("Bob")
    alice.wait_for_line(r"^\* Bob joined the chat$")
    alice.send_line("Hello Bob!")
    bob.wait_for_line(r"^\[Alice\]: Hello Bob!$")
    bob.send_line("Hello Alice!")
    alice.wait_for_line(r"^\[Bob\]: Hello Alice!$")
    bob.send_line("/quit")
    assert bob.wait() == 0
    alice.wait_for_line(r"^\* Bob left the chat$")
    alice.end_input()
    assert alice.wait() == 0
    assert alice.lines == [
        "Joined chat as Alice",
        "Users online: ['Alice']",
        "",
        "Type a message and press Enter (or /quit to leave):",
        "* Bob joined the chat",
        "[Alice]: Hello Bob!",
        "[Bob]: Hello Alice!",
        "* Bob left the chat",
    ]


def test_commands_are_not_said(bob: ChatClient, server: ServerProcess) -> None:
    typed = "/users\n/help\n/history x\n/whisper Bob\n /said\n\n   \n"
    ended = run("--url", server.url, "--username", "Alice", typed=typed)
    assert ended.stdout.splitlines()[4:] == [
        "Users online: ['Bob', 'Alice']",
        *help_text().splitlines(),
        "[Alice]:  /said",
    ]
    assert ended.stderr.splitlines() == [
        "It is /history, or /history 50 for the last 50.",
        "There is no /whisper. /help says what there is.",
    ]
    assert ended.returncode == 0
    said = [event.text for event in bob.newest(50) if event.type == "chat"]
    assert said == [" /said"]


def test_what_stands_behind_a_command_that_takes_nothing_is_pointed_out(
    server: ServerProcess,
) -> None:
    typed = f"/quit now\n/users x\n/help me\n/history {'9' * 5000}\nstill here\n"
    ended = run("--url", server.url, "--username", "Alice", typed=typed)
    assert ended.stdout.splitlines()[4:] == ["[Alice]: still here"]
    assert ended.stderr.splitlines() == [
        "It is /quit, with nothing behind it.",
        "It is /users, with nothing behind it.",
        "It is /help, with nothing behind it.",
        "It is /history, or /history 50 for the last 50.",
    ]
    assert ended.returncode == 0


def test_of_a_line_that_is_too_long_nothing_is_said_or_done(
    bob: ChatClient, server: ServerProcess
) -> None:
    lengths = (MAX_LINE + 1, 2 * MAX_LINE + 400, 3 * MAX_LINE)
    typed = "".join(f"{'x' * length}\nnext\n{'/' * length}/quit\n" for length in lengths)
    ended = run("--url", server.url, "--username", "Alice", typed=typed)
    complaint = f"A line of more than {MAX_LINE} characters is not said."
    assert ended.stderr.splitlines() == [complaint] * 6
    assert ended.returncode == 1
    said = [event.text for event in bob.newest(50) if event.type == "chat"]
    assert said == ["next"] * 3


def test_what_happened_last_can_be_looked_at(
    bob: ChatClient, start: Callable[..., Process]
) -> None:
    alice = start("Alice")
    wait_until(lambda: bob.newest(1)[0].text == "Alice joined the chat")
    alice.send_line("/history 2")
    alice.wait_for_line("Alice joined")
    assert alice.lines[4:] == ["* Bob joined the chat", "* Alice joined the chat"]


def test_what_was_said_before_is_shown_if_wanted(bob: ChatClient, server: ServerProcess) -> None:
    bob.send("Is anybody here?")
    url = ("--url", server.url)
    assert "[Bob]" not in run(*url, "--username", "Alice").stdout
    ended = run(*url, "--username", "Carol", "--history", "9", typed="I am\n")
    said = [line for line in ended.stdout.splitlines() if line.startswith("[")]
    assert said == ["[Bob]: Is anybody here?", "[Carol]: I am"]


def test_what_others_typed_does_nothing_to_the_terminal(
    bob: ChatClient, start: Callable[..., Process]
) -> None:
    alice = start("Alice")
    bob.send("\x1b[2J\x9b1m\u202e\r\nMallory\x07")
    alice.wait_for_line(r"^    Mallory")
    assert alice.lines[-2:] == ["[Bob]: \\x1b[2J\\x9b1m\\u202e", "    Mallory\\x07"]


def test_a_message_that_the_chat_refuses_is_told_and_remembered(server: ServerProcess) -> None:
    typed = "x" * 4_001 + "\nshorter\n"
    ended = run("--url", server.url, "--username", "Alice", typed=typed)
    assert ended.stdout.splitlines()[4:] == ["[Alice]: shorter"]
    assert len(ended.stderr.splitlines()) == 1
    assert ended.returncode == 1


def test_a_server_that_is_not_there_is_one_line_and_a_failure() -> None:
    url = f"ws://127.0.0.1:{free_port()}/rpc/ws"
    ended = run("--url", url, "--username", "Alice", typed="hello\n")
    assert ended.stderr == f"Cannot connect to {url}: Connection refused.\n"
    assert ended.stdout == ""
    assert ended.returncode == UNREACHED


@pytest.mark.parametrize(
    ("name", "why", "status"), [("BOB", "taken|online|use", TAKEN), ("x" * 33, "32", FAILED)]
)
def test_a_name_that_cannot_be_had_is_one_line_and_a_failure(
    bob: ChatClient, server: ServerProcess, name: str, why: str, status: int
) -> None:
    ended = run("--url", server.url, "--username", name, typed="hello\n")
    (line,) = ended.stderr.splitlines()
    assert any(word in line for word in why.split("|")), line
    assert ended.returncode == status


def test_no_name_is_one_line_and_a_failure(server: ServerProcess) -> None:
    ended = run("--url", server.url)
    assert ended.stderr == "A chat needs a name: use --username, or type one.\n"
    assert ended.returncode == 1


@pytest.mark.parametrize(
    "option",
    [
        ("--url", "http://x"),
        ("--url", "ws://x:secret@127.0.0.1:99999/rpc/ws"),
        ("--url", "ws://x:secret@/rpc/ws"),
        ("--url", "ws://x:secret@[::1/rpc/ws"),
        ("--url", "ws://x:secret@127.0.0.1:80a/"),
        ("--history", "many"),
        ("--what",),
    ],
)
def test_a_wrong_option_is_explained(option: tuple[str, ...]) -> None:
    ended = run(*option)
    assert "usage: chatclient" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr
    assert ended.returncode == 2


def test_without_reconnect_a_lost_connection_ends_the_program_at_once(
    server: ServerProcess, start: Callable[..., Process]
) -> None:
    with Proxy(server.address) as proxy:
        alice = start("Alice", "--no-reconnect", url=proxy.url)
        proxy.cut_all()
        assert alice.wait() == UNREACHED
        (line,) = alice.error_lines
        assert line.startswith("The connection is lost")


def test_an_outage_is_shown_and_what_is_typed_meanwhile_is_said_afterwards(
    bob: ChatClient, server: ServerProcess, start: Callable[..., Process]
) -> None:
    with Proxy(server.address) as proxy:
        alice = start("Alice", url=proxy.url)
        proxy.go_down()
        alice.wait_for_line(r"^Connection lost; trying again in \d+ s …$")
        alice.send_line("Can you hear me?")
        bob.send("Where is Alice?")
        proxy.come_up()
        alice.wait_for_line("^Back online$")
        alice.wait_for_line(r"^\[Bob\]: Where is Alice\?$")
        alice.wait_for_line(r"^\[Alice\]: Can you hear me\?$")
        alice.end_input()
        assert alice.wait() == 0
        assert alice.error_lines == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_is_told_to_go_leaves_politely(
    bob: ChatClient, start: Callable[..., Process], number: signal.Signals
) -> None:
    alice = start("Alice")
    wait_until(lambda: [e.text for e in bob.newest(1)] == ["Alice joined the chat"])
    alice.signal(number)
    assert alice.wait() == 0
    assert alice.error_lines == []
    wait_until(lambda: [e.text for e in bob.newest(1)] == ["Alice left the chat"])


def test_nobody_reading_ends_the_program_without_a_word(server: ServerProcess) -> None:
    command = [*PROGRAM, "--url", server.url, "--username", "Alice"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, stderr=pipe) as alice:
        assert alice.stdin is not None
        assert alice.stdout is not None
        assert alice.stderr is not None
        alice.stdout.readline()
        alice.stdout.close()
        alice.stdin.write(b"hello\nhello\n")
        alice.stdin.flush()
        assert alice.wait(DEADLINE) == 1
        assert alice.stderr.read() == b""


def test_a_character_that_a_terminal_cannot_show_is_shown_as_its_number(
    bob: ChatClient, server: ServerProcess, start_process: StartProcess
) -> None:
    alice = start_process(
        *PROGRAM,
        "--url",
        server.url,
        "--username",
        "Alice",
        env={"PYTHONIOENCODING": "ascii"},
        ready="Type a message",
    )
    bob.send("grüße")
    alice.wait_for_line(r"^\[Bob\]: gr\\xfc\\xdfe$")


# ---- On pseudo-terminals


@pytest.fixture
def on_terminal(server: ServerProcess) -> Callable[..., PseudoTerminal]:
    """Start the program on a terminal."""

    def start(*options: str, url: str = "") -> PseudoTerminal:
        return PseudoTerminal([*PROGRAM, "--url", url or server.url, *options])

    return start


TRANSCRIPT = (
    "Enter your username: Alice",
    "Joined chat as Alice",
    "Users online: ['Alice']",
    "",
    "Type a message and press Enter (or /quit to leave):",
    "> Hello everyone!",
    "[Alice]: Hello everyone!",
    ">",
)


def test_the_transcript_on_a_terminal(on_terminal: Callable[..., PseudoTerminal]) -> None:
    with on_terminal() as alice:
        alice.wait_for("Enter your username:")
        alice.press("Alice\r")
        alice.wait_for(*TRANSCRIPT[:5], ">")
        alice.press("Hello everyone!\r")
        alice.wait_for(*TRANSCRIPT)
        alice.press("/quit\r")
        assert alice.wait() == 0
        assert alice.lines == [*TRANSCRIPT[:-1], "> /quit"]


def test_two_people_chat_on_terminals(on_terminal: Callable[..., PseudoTerminal]) -> None:
    with on_terminal("--username", "Alice") as alice:
        alice.wait_for(">")
        with on_terminal("--username", "Bob") as bob:
            alice.wait_for("* Bob joined the chat", ">")
            bob.wait_for(">")
            bob.press("Hello Alice!\r")
            alice.wait_for("[Bob]: Hello Alice!", ">")
            alice.press("Hello Bob!\r")
            bob.wait_for("> Hello Alice!", "[Bob]: Hello Alice!", "[Alice]: Hello Bob!", ">")
            bob.press("\x04")
            assert bob.wait() == 0
        alice.wait_for("* Bob left the chat", ">")


def test_a_line_being_typed_is_not_torn(
    bob: ChatClient, on_terminal: Callable[..., PseudoTerminal]
) -> None:
    with on_terminal("--username", "Alice") as alice:
        alice.wait_for(">")
        alice.press("Hello ")
        alice.wait_for("> Hello")
        bob.send("I interrupt")
        alice.wait_for("[Bob]: I interrupt", "> Hello")
        alice.press("everyone!\r")
        alice.wait_for("> Hello everyone!", "[Alice]: Hello everyone!", ">")


def test_commands_and_names_are_completed_and_lines_remembered(
    bob: ChatClient, on_terminal: Callable[..., PseudoTerminal]
) -> None:
    with on_terminal("--username", "Alice") as alice:
        alice.wait_for(">")
        alice.press("/us\t")
        alice.wait_for("> /users")
        alice.press("\r")
        alice.wait_for("Users online: ['Bob', 'Alice']", ">")
        alice.press("hello Bo\t")
        alice.wait_for("> hello Bob")
        alice.press("!\r")
        alice.wait_for("[Alice]: hello Bob!", ">")
        alice.press("\x1b[A")  # The key for up.
        alice.wait_for("> hello Bob!")


def test_on_a_terminal_the_last_events_are_shown(
    bob: ChatClient, on_terminal: Callable[..., PseudoTerminal]
) -> None:
    for number in range(25):
        bob.send(f"message {number}")
    with on_terminal("--username", "Alice") as alice:
        alice.wait_for(*[f"[Bob]: message {number}" for number in range(5, 25)], ">")


def test_ctrl_c_clears_the_line_and_leaves_an_empty_one(
    on_terminal: Callable[..., PseudoTerminal],
) -> None:
    with on_terminal("--username", "Alice") as alice:
        alice.wait_for(">")
        alice.press("half a line\x03")
        alice.wait_for(">")
        alice.press("\x03")
        assert alice.wait() == 0
        assert not any("Traceback" in line for line in alice.lines)


def test_a_connection_lost_for_good_ends_the_prompt(
    server: ServerProcess, on_terminal: Callable[..., PseudoTerminal]
) -> None:
    with (
        Proxy(server.address) as proxy,
        on_terminal("--username", "Alice", "--no-reconnect", url=proxy.url) as alice,
    ):
        alice.wait_for(">")
        alice.press("half a line")
        alice.wait_for("> half a line")
        proxy.cut_all()
        assert alice.wait() == UNREACHED
        assert alice.lines[-1].startswith("The connection is lost")


def test_an_outage_is_shown_above_the_prompt(
    server: ServerProcess, on_terminal: Callable[..., PseudoTerminal]
) -> None:
    with (
        Proxy(server.address) as proxy,
        on_terminal("--username", "Alice", url=proxy.url) as alice,
    ):
        alice.wait_for(">")
        alice.press("half a line")
        proxy.cut_all()
        alice.wait_for("Back online", "> half a line")
        assert alice.lines[-3].startswith("Connection lost; trying again in ")


def test_whoever_is_too_fast_is_told_and_waits(
    start_server: StartServer, on_terminal: Callable[..., PseudoTerminal]
) -> None:
    limited = start_server("--unlimited-addresses", "", "--message-rate", "5:1")
    with on_terminal("--username", "Alice", url=limited.url) as alice:
        alice.wait_for(">")
        alice.press("one\rtwo\rthree\r")
        alice.wait_for("[Alice]: three", ">")
        told = [line for line in alice.lines if line.startswith("Too fast")]
        assert told == ["Too fast for the server; trying again in 1 s …"]


def test_closing_the_window_leaves(
    bob: ChatClient, on_terminal: Callable[..., PseudoTerminal]
) -> None:
    with on_terminal("--username", "Alice") as alice:
        alice.wait_for(">")
        alice.press("half a line")
        alice.wait_for("> half a line")
        wait_until(lambda: [e.text for e in bob.newest(1)] == ["Alice joined the chat"])
        alice.hang_up()
        wait_until(lambda: [e.text for e in bob.newest(1)] == ["Alice left the chat"])
        alice.wait()


def test_ctrl_z_suspends(server: ServerProcess) -> None:
    """In a shell with job control, which goes on when the program stops."""
    program = f"{' '.join(PROGRAM)} --url {server.url} --username Alice"
    script = f"set -m; {program}; echo stopped $?; read line; fg"
    with PseudoTerminal(["bash", "-c", script]) as alice:
        alice.wait_for(">")
        alice.press("half \x1a")
        wait_until(lambda: "stopped 148" in alice.lines, message="suspended")
        alice.press("\r")
        alice.wait_for("> half")
        alice.press("a line\r")
        alice.wait_for("[Alice]: half a line", ">")
        alice.press("/quit\r")
        assert alice.wait() == 0


def test_a_terminal_that_can_only_scroll_is_sent_no_escapes(
    bob: ChatClient, server: ServerProcess
) -> None:
    command = [*PROGRAM, "--url", server.url]
    with PseudoTerminal(command, env={"TERM": "dumb"}) as alice:
        alice.wait_for("Enter your username:")
        alice.press("Alice\r")
        wait_until(lambda: "Type a message and press Enter (or /quit to leave):" in alice.lines)
        alice.press("hello\r")
        alice.wait_for("hello", "[Alice]: hello")
        bob.send("hi")
        alice.wait_for("[Bob]: hi")
        alice.press("\x04")
        assert alice.wait() == 0
        assert alice.lines[:3] == [
            "Enter your username: Alice",
            "Joined chat as Alice",
            "Users online: ['Bob', 'Alice']",
        ]
        assert alice.escapes == 0


# ---- Parts


def test_lines_are_split_wherever_the_pieces_are_cut() -> None:
    text = "one\ntwo\r\n\nthree\u2028still three\nrest"
    expected = ["one", "two", "", "three\u2028still three", "rest"]
    for cut in range(len(text)):
        assert list(split_lines([text[:cut], text[cut:]])) == expected


def test_a_line_without_end_is_not_read_into_memory() -> None:
    lines = split_lines("x" * 10_000 for _ in range(100))
    assert all(len(line) <= MAX_LINE + 10_000 for line in lines)


def test_words_are_completed_whatever_their_case() -> None:
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    words = Words(lambda: ["/help", "/history"], ["Bob", "bert", "Carol"])

    def completed(text: str) -> list[str]:
        return [c.text for c in words.get_completions(Document(text), CompleteEvent())]

    assert completed("/h") == ["/help", "/history"]
    assert completed("hi B") == ["bert", "Bob"]
    assert completed("/history c") == ["Carol"]
    assert completed("hi ") == []


def test_what_moderators_type_is_shown_to_them_alone() -> None:
    assert "/mute" not in help_text() + " ".join(commands(moderates=False))
    assert "/mute NAME [10m] let say nothing" in help_text(moderates=True).splitlines()
    assert "/mute" in commands(moderates=True)
