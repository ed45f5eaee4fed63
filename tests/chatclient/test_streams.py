"""The terminal program on standard streams that are not what one expects."""

import fcntl
import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import IO, Any, Protocol

import pytest

from chatclient import ChatClient
from tests.processes import DEADLINE, REPOSITORY, ServerProcess, wait_until

PROGRAM = (sys.executable, "-m", "chatclient")

Ends = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Ends]:
    """A pipe whose both ends do not block."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):  # The test may have closed it.
            os.close(descriptor)


class Start(Protocol):
    """What the fixture `start` is."""

    def __call__(
        self, server: ServerProcess, *options: str, **streams: Any
    ) -> "subprocess.Popen[bytes]": ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the program, on pipes where the test has no other streams; it is killed at the end."""
    with ExitStack() as started:

        def start(
            server: ServerProcess, *options: str, **streams: Any
        ) -> "subprocess.Popen[bytes]":
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            program = subprocess.Popen(
                [*PROGRAM, "--url", server.url, "--username", "Alice", *options],
                cwd=REPOSITORY,
                **{**pipes, **streams},
            )
            started.enter_context(program)
            started.callback(program.kill)
            return program

        yield start


def shell(server: ServerProcess, redirection: str, typed: bytes) -> tuple[int, str, str]:
    """The program, started by a shell with `redirection`; status, output, complaints."""
    command = f"exec {' '.join(PROGRAM)} --url {server.url} --username Alice {redirection}"
    ended = subprocess.run(
        ["sh", "-c", command],
        cwd=REPOSITORY,
        input=typed,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


def wait_for(stream: IO[bytes] | None, beginning: bytes) -> None:
    assert stream is not None
    for line in stream:
        if line.startswith(beginning):
            return
    raise AssertionError(f"no line begins with {beginning!r}")


def waiting(descriptor: int) -> int:
    """Bytes in a pipe."""
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0")
    return int.from_bytes(answer, sys.byteorder)


def test_input_that_does_not_block_is_waited_for(
    chat_server: ServerProcess, pipe: Ends, start: Start
) -> None:
    reading, writing = pipe
    alice = start(chat_server, stdin=reading)
    wait_for(alice.stdout, b"Type a message")
    os.write(writing, b"hello\n")
    wait_for(alice.stdout, b"[Alice]: hello")
    os.write(writing, b"/quit\n")
    assert alice.wait(DEADLINE) == 0


def test_output_that_does_not_block_gets_everything(
    chat_server: ServerProcess, pipe: Ends, start: Start
) -> None:
    """More than the pipe holds, to a reader that comes late."""
    text = "x" * 3900
    with ChatClient(chat_server.url, "Bob") as bob:
        for _ in range(50):
            bob.send(text)
    reading, writing = pipe
    alice = start(chat_server, "--history", "100", stdout=writing, stdin=subprocess.DEVNULL)
    os.close(writing)
    wait_until(lambda: waiting(reading) > 50_000)
    os.set_blocking(reading, True)
    with os.fdopen(os.dup(reading), "rb") as output:
        lines = output.read().decode().splitlines()
    assert alice.wait(DEADLINE) == 0
    assert lines.count(f"[Bob]: {text}") == 50


@pytest.mark.parametrize(
    ("redirection", "why"),
    [
        ("<&-", "Standard input cannot be read: Bad file descriptor."),
        ("0>/dev/null", "Standard input cannot be read: Bad file descriptor."),
        (">&-", "Standard output cannot be written to: Bad file descriptor."),
        ("1</dev/null", "Standard output cannot be written to: Bad file descriptor."),
        (">/dev/full", "Standard output cannot be written to: No space left on device."),
        ("--help >/dev/full", "Standard output cannot be written to: No space left on device."),
    ],
)
def test_a_stream_that_cannot_be_used_is_one_line_and_a_failure(
    chat_server: ServerProcess, redirection: str, why: str
) -> None:
    status, _, complaints = shell(chat_server, redirection, b"hello\n")

    assert complaints.splitlines() == [why]
    assert status == 1


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2</dev/null"])
def test_complaints_that_nobody_can_read_change_nothing(
    chat_server: ServerProcess, redirection: str
) -> None:
    status, output, _ = shell(chat_server, redirection, b"/what\nhello\n")

    assert output.splitlines()[4:] == ["[Alice]: hello"]
    assert status == 0


def test_a_reader_that_goes_ends_the_program_and_frees_the_name(
    chat_server: ServerProcess, pipe: Ends, start: Start
) -> None:
    reading, writing = pipe
    with ChatClient(chat_server.url, "Bob") as bob:
        alice = start(chat_server, stdout=writing)
        os.close(writing)
        wait_until(lambda: len(bob.users()) == 2)
        os.close(reading)
        bob.send("hello")
        assert alice.wait(DEADLINE) == 1
        assert alice.stderr is not None
        assert alice.stderr.read() == b""
        wait_until(lambda: bob.users() == ["Bob"])
