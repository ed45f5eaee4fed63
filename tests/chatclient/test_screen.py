"""The terminal program as a person sees it, on screens of several sizes: real processes."""

import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pyte
import pytest

from chatclient import ChatClient
from tests.chatclient.pseudo_terminal import PseudoTerminal
from tests.chatclient.reflowing import ReflowingScreen
from tests.conftest import StartProcess
from tests.processes import Processes, ServerProcess, free_port, wait_until

SIZES = [(40, 12), (80, 24), (200, 50)]

PROGRAM = (sys.executable, "-m", "chatclient")

LONG = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 3


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """One server for all of this file; each test has names and rooms of its own."""
    with Processes() as processes:
        server = ServerProcess("--store", "memory:")
        processes.add(server)
        yield server


OnScreen = Callable[..., PseudoTerminal]


@pytest.fixture
def on_screen(server: ServerProcess) -> OnScreen:
    """Start the program on a terminal of some size."""

    def start(*options: str, url: str = "", **how: Any) -> PseudoTerminal:
        return PseudoTerminal([*PROGRAM, "--url", url or server.url, *options], **how)

    return start


def sees(terminal: PseudoTerminal, *wanted: str) -> None:
    """Wait until these lines are on the screen in this order, and the last one is its last."""

    def seen() -> bool:
        shown = terminal.lines
        lines = iter(shown)
        return all(any(line == one for line in lines) for one in wanted) and shown[-1] == wanted[-1]

    try:
        wait_until(seen)
    except AssertionError:
        screen = "\n".join(terminal.lines)
        raise AssertionError(f"not on the screen: {wanted}\n{screen}") from None


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_reading_while_typing(
    server: ServerProcess, on_screen: OnScreen, size: tuple[int, int]
) -> None:
    columns = size[0]
    room = f"garden{columns}"
    with (
        ChatClient(server.url, f"Bob {columns}") as bob,
        on_screen("--username", f"Ann {columns}", "--room", room, size=size) as ann,
    ):
        prompt = f"{room}>"
        ann.wait_for(prompt)
        ann.press("half a line")
        ann.wait_for(f"{prompt} half a line")
        garden = bob.enter(room)
        sees(ann, f"* Bob {columns} joined {room}", f"{prompt} half a line")
        garden.send(LONG)
        # Wrapped at words, with what follows indented; the draft below it is whole.
        sees(ann, *folded(f"[Bob {columns}]: {LONG}", columns), f"{prompt} half a line")
        # Elsewhere, and counted below the line.
        bob.send("hello lobby")
        sees(ann, f"{prompt} half a line", "1 lobby 1")
        # Ctrl+C clears the line; Alt and a digit go there; what was said is shown.
        ann.press("\x03\x1b1")
        sees(ann, "* You are in lobby.", "—— 1 new ——", f"[Bob {columns}]: hello lobby", ">")
        ann.press("\x10")  # Ctrl+P
        sees(ann, f"* You are in {room}.", prompt)
        ann.press("/top\t")
        sees(ann, f"{prompt} /topic")
        ann.press("\x03\x03")
        assert ann.wait() == 0


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_what_can_be_typed(
    server: ServerProcess, on_screen: OnScreen, size: tuple[int, int]
) -> None:
    columns = size[0]
    room, me, him = f"roses{columns}", f"Ann {columns}t", f"Bob {columns}t"
    with (
        ChatClient(server.url, him) as bob,
        on_screen("--username", me, "--history", "0", size=size) as ann,
    ):
        garden = bob.enter(room)

        def types(line: str, *wanted: str) -> None:
            ann.press(f"{line}\r")
            for text in wanted:
                wait_until(partial(shows, ann, text), message=f"{text}, after {line}")

        ann.wait_for(">")
        types("/open Plans", "* You are in +Plans.", "+Plans>")
        types("/topic for spring", "for spring")
        types("/invite", "Whoever types this within a week comes in: /accept ")
        types("/people", f"1 here: {me} (owner)")
        types("/leave", "* You are in lobby.")
        types(f"/enter {room}", f"* You are in {room}.", f"{room}>")
        types("/me dances", f"** {me} dances")
        types("Who likes rosse?", f"[{me}]: Who likes rosse?")
        types("/edit Who likes roses?", f"* {me} changed a message: Who likes roses?")
        garden.send("I do.")
        wait_until(partial(shows, ann, f"[{him}]: I do."))
        types("/reply So do I.", f"> {him}: I do.", f"[{me}]: So do I.")
        types("/react +1", '* "I do.": 👍 1')
        types("/remove", f"* {me} removed a message")
        types("/history 2", f"[{him}]: I do. 👍 1")
        types("/rooms", f"* {room}, 2 people")
        types("/time on")
        sees(ann, f"{room}> /time on", f"{room}>")
        garden.send(f"What is the time, {me}?")
        wait_until(lambda: re.search(rf"\d\d:\d\d \[{him}\]: What is", "\n".join(ann.lines)))
        types(f"/msg {him} psst")
        wait_until(lambda: [one.text for one in bob.direct(me).history()] == ["psst"])
        ann.press("hello @Bo\t")
        wait_until(partial(shows, ann, f"{room}> hello @{him}"))
        # One's own name is bold, and so is what means one; comings and goings are faint.
        assert {b"1", b"2"} <= ann.looks
        types("\x03/quit")
        assert ann.wait() == 0


def shows(terminal: PseudoTerminal, text: str) -> bool:
    """Whether a text is on the screen, wherever its lines end."""
    return "".join(text.split()) in "".join("".join(terminal.lines).split())


def folded(text: str, columns: int) -> list[str]:
    """A text in words, its lines indented after the first."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines[-1].strip() else f"{lines[-1]}{word}"
        if len(longer) <= columns:
            lines[-1] = longer
        else:
            lines.append(f"    {word}")
    return lines


@pytest.mark.parametrize("screen", [pyte.Screen, ReflowingScreen], ids=["cuts", "wraps"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_resizing_leaves_no_ghosts(
    on_screen: OnScreen, size: tuple[int, int], screen: type[pyte.Screen]
) -> None:
    columns, lines = size
    words = columns // 6 + 2
    name = f"Cid {columns} {screen.__name__[:7]}"
    with on_screen("--username", name, "--history", "0", size=size, screen=screen) as cid:
        cid.wait_for(">")
        cid.press("draft " * words)

        def shown() -> str:
            return "".join(cid.lines).replace(" ", "")

        for times, wide in enumerate((columns, columns - 7, columns // 2, columns + 9, columns)):
            cid.resize(wide, lines)
            cid.press("x")
            # It was drawn anew, and is there once, as is what was said before.
            wait_until(partial(lambda x: shown().endswith(f"draft{x}"), "x" * (times + 1)))
            assert shown().count("draft") == words
            assert shown().count("Typeamessageandpress") == 1
        assert sum(line.startswith(">") for line in cid.lines) == 1
        cid.press("\x03\x04")
        assert cid.wait() == 0


def test_the_help_fits_into_forty_columns(on_screen: OnScreen) -> None:
    with on_screen("--username", "Dan", size=(40, 50)) as dan:
        dan.wait_for(">")
        dan.press("/help\r")
        wait_until(lambda: "The rest:" in dan.lines)
        assert "/msg NAME TEXT   say it to one alone" in dan.lines
        assert "/time on|off     when it was said" in dan.lines


def test_names_have_colours_unless_they_are_not_wanted(on_screen: OnScreen) -> None:
    def looks(name: str, *options: str, **env: str) -> set[bytes]:
        with (
            on_screen("--username", name, *options, size=(80, 24), env=env) as ann,
            on_screen("--username", f"{name} 2", size=(80, 24)) as bob,
        ):
            bob.wait_for(">")
            bob.press("hello\r")
            wait_until(lambda: f"[{name} 2]: hello" in ann.lines)
            return ann.looks

    assert any(look.startswith(b"38;5;") for look in looks("Eve"))
    assert not any(look.startswith(b"38;5;") for look in looks("Fay", NO_COLOR="1"))
    assert not any(look.startswith(b"38;5;") for look in looks("Gus", "--color", "never"))


def test_plain_is_lines_and_nothing_else(server: ServerProcess, on_screen: OnScreen) -> None:
    with (
        ChatClient(server.url, "Bob P") as bob,
        on_screen("--username", "Ann P", "--plain", size=(80, 24)) as ann,
    ):
        wait_until(lambda: any(line.startswith("Type a message") for line in ann.lines))
        bob.send("hello")
        wait_until(lambda: "[Bob P]: hello" in ann.lines)
        ann.press("/enter garden-p\r")
        wait_until(lambda: "* You are in garden-p." in ann.lines)
        ann.press("hi\r")
        wait_until(lambda: "[Ann P]: hi" in ann.lines)
        ann.press("/quit\r")
        assert ann.wait() == 0
        assert ann.escapes == 0


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_a_server_that_is_killed_and_started_again(
    on_screen: OnScreen, size: tuple[int, int]
) -> None:
    port = str(free_port())
    with Processes() as processes:
        server = ServerProcess("--store", "memory:", "--port", port)
        processes.add(server)
        with on_screen("--username", "Ann", size=size, url=server.url) as ann:
            ann.wait_for(">")
            ann.press("before\r")
            ann.wait_for("[Ann]: before", ">")
            ann.press("half a ")
            server.kill()
            wait_until(lambda: any(line.startswith("Connection lost") for line in ann.lines))
            ann.press("line\rand another\rnot this\r")
            wait_until(lambda: any(line.startswith("Not sent yet (3)") for line in ann.lines))
            ann.press("/unsend\r")
            wait_until(lambda: any(line.startswith("Not sent yet (2)") for line in ann.lines))
            assert "> not this" in ann.lines
            ann.press("\x03after")
            processes.add(ServerProcess("--store", "memory:", "--port", port))
            ann.wait_for("[Ann]: half a line", "[Ann]: and another", "> after")
            ann.press("\r")
            ann.wait_for("[Ann]: after", ">")
            ann.press("/quit\r")
            assert ann.wait() == 0


class RingingScreen(pyte.Screen):
    """Counts how often the terminal rang."""

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__(columns, lines)
        self.rang = 0

    def bell(self, *args: Any) -> None:
        self.rang += 1


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_a_taken_name_a_bell_and_a_suspension(server: ServerProcess, size: tuple[int, int]) -> None:
    me, him = f"Ann {size[0]}z", f"Bob {size[0]}z"
    program = f"{' '.join(PROGRAM)} --url {server.url} --history 0 --bell"
    script = f"set -m; {program}; echo stopped $?; read line; fg"
    with (
        ChatClient(server.url, him) as bob,
        PseudoTerminal(["bash", "-c", script], size=size, screen=RingingScreen) as ann,
    ):
        ann.wait_for("Enter your username:")
        ann.press(f"{him}\r")
        wait_until(partial(shows, ann, "is taken; choose another one"))
        ann.press(f"{me}\r")
        ann.wait_for(">")
        screen = ann._screen
        assert isinstance(screen, RingingScreen)
        bob.send("Nobody is meant")
        # People of other tests leave meanwhile, so lines of theirs may stand below.
        wait_until(partial(shows, ann, f"[{him}]: Nobody is meant"))
        assert screen.rang == 0
        bob.send(f"@{me} come")
        wait_until(partial(shows, ann, f"[{him}]: @{me} come"))
        wait_until(lambda: screen.rang == 1)
        ann.press("half \x1a")
        wait_until(partial(shows, ann, "stopped 148"))
        bob.send("said meanwhile")
        ann.press("\r")
        wait_until(partial(shows, ann, "said meanwhile"))
        ann.wait_for("> half")
        ann.press("a line\r")
        wait_until(partial(shows, ann, f"[{me}]: half a line"))
        ann.press("/quit\r")
        assert ann.wait() == 0


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_a_day_is_told_and_quitting_asks_while_something_waits(
    tmp_path: Path, on_screen: OnScreen, size: tuple[int, int]
) -> None:
    store = ("--store", f"sqlite:///{tmp_path}/chat.db")
    port = str(free_port())
    with Processes() as processes:
        server = processes.add(ServerProcess(*store, "--port", port))
        with ChatClient(server.url, "Bob") as bob:
            for number in range(30):
                bob.send(f"yesterday {number}")
        server.terminate()
        with closing(sqlite3.connect(tmp_path / "chat.db")) as database:
            database.execute("UPDATE event SET time_ms = time_ms - 24 * 60 * 60 * 1000")
            database.commit()
        server = processes.add(ServerProcess(*store, "--port", port))
        with on_screen("--username", "Ann", size=size, url=server.url) as ann:
            ann.wait_for(">")
            assert "[Bob]: yesterday 29" in ann.lines
            ann.press("today\r")
            # Scrolled by what is said, with a line for the new day.
            wait_until(lambda: "[Ann]: today" in ann.lines)
            day = [line for line in ann.lines if re.fullmatch(r"—— \w+,? .*\d{4} ——", line)]
            assert day
            assert ann.lines.index(day[-1]) < ann.lines.index("[Ann]: today")
            for number in range(size[1]):
                ann.press(f"line {number}\r")
            server.kill()
            wait_until(lambda: any(line.startswith("Connection lost") for line in ann.lines))
            ann.press("not sent\r/quit\r")
            wait_until(partial(shows, ann, "Leave without"))
            ann.press("y\r")
            assert ann.wait() == 1


TORRENT = 2_000
"""Messages a second."""

KEYS = "".join(f"{number:02} " for number in range(34))[:100]
"""What is typed meanwhile: each key is another."""


def test_a_torrent_takes_no_key_and_little_of_the_machine(
    start_process: StartProcess, full: bool
) -> None:
    command = [sys.executable, "-m", "tests.chatclient.other_servers", str(TORRENT)]
    server = start_process(*command, ready="ready")
    url = server.lines[0].split()[1]
    with PseudoTerminal([*PROGRAM, "--url", url, "--username", "Ann"], size=(80, 24)) as ann:
        wait_until(lambda: "> " in "\n".join(ann.lines[-1:]) + " ")
        wait_until(lambda: any("[Bob]: message" in line for line in ann.lines))
        began, used = time.monotonic(), cpu_seconds(ann.pid)
        waited = []
        for number, key in enumerate(KEYS, 1):
            pressed = time.monotonic()
            ann.press(key)
            wait_until(partial(draft_is, ann, KEYS[:number]))
            waited.append(time.monotonic() - pressed)
        cores = (cpu_seconds(ann.pid) - used) / (time.monotonic() - began)
        before = newest_shown(ann)
        wait_until(lambda: newest_shown(ann) > before + TORRENT, message="everything is shown")
        memory = peak_mib(ann.pid)
        print(
            f"keys: {sorted(waited)[50]:.3f} s, {max(waited):.3f} s; {cores:.2f}; {memory:.0f} MiB"
        )
        wait_until(partial(draft_is, ann, KEYS), message="the draft is still there")
        # Shared machines stop for longer than that now and then.
        assert (max(waited) if full else sorted(waited)[50]) < 0.1
        assert cores < 1
        assert memory < 80


def draft_is(terminal: PseudoTerminal, text: str) -> bool:
    """Whether the line that is typed is this one, which may go on in a second row."""
    draft = "".join(terminal.lines[-2:])
    return draft[draft.rfind(">") :].replace(" ", "") == ">" + text.replace(" ", "")


def newest_shown(terminal: PseudoTerminal) -> int:
    """The number of the message that was shown last."""
    numbers = [line.split()[-1] for line in terminal.lines if line.startswith("[Bob]: message ")]
    return int(numbers[-1]) if numbers else 0


def cpu_seconds(pid: int) -> float:
    """The time for which a process has used a core."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
