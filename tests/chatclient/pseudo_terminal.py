"""A program on a pseudo-terminal, seen as a person sees it: as a screen."""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

import pyte

from tests.processes import DEADLINE, REPOSITORY, wait_until

COLUMNS, LINES = 80, 40


class PseudoTerminal:
    """Runs `command` on a terminal of its own; leaving the context kills it."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] = (COLUMNS, LINES),
        screen: type[pyte.Screen] = pyte.Screen,
    ) -> None:
        self._master, slave = pty.openpty()
        columns, lines = size
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen = screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._escapes = 0
        self._looks: set[bytes] = set()
        self._told, self._enough = socket.socketpair()
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "TERM": "xterm-256color", **(env or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # The terminal is its: for its signals, and for its end.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, name="pseudo-terminal")
        self._reader.start()

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._told.fileno()], [], [])
            if self._told.fileno() in ready:
                return
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return  # Linux tells with an error that nobody has the terminal open any more.
            if not data:
                return
            with self._lock:
                self._escapes += data.count(b"\x1b")
                self._looks.update(re.findall(rb"\x1b\[([0-9;]+)m", data))
                self._stream.feed(data)

    @property
    def lines(self) -> list[str]:
        """The screen from its top to the last line that is not empty, without spaces at the end."""
        with self._lock:
            lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def wait_for(self, *last: str) -> None:
        """Wait until the last lines of the screen are these."""
        try:
            wait_until(lambda: self.lines[-len(last) :] == list(last))
        except AssertionError:
            screen = "\n".join(self.lines)
            raise AssertionError(f"not the end of the screen: {last}\n{screen}") from None

    def press(self, text: str) -> None:
        """Press keys: `\\r` is Enter, `\\x03` Ctrl+C, `\\x04` Ctrl+D, `\\t` Tab."""
        os.write(self._master, text.encode())

    @property
    def escapes(self) -> int:
        """How many escape sequences were written."""
        with self._lock:
            return self._escapes

    @property
    def looks(self) -> set[bytes]:
        """The parameters of all looks (SGR) that were written."""
        with self._lock:
            return set(self._looks)

    @property
    def pid(self) -> int:
        """The program's."""
        return self._process.pid

    def resize(self, columns: int, lines: int) -> None:
        """Make the window another size; the program is told."""
        with self._lock:
            self._screen.resize(lines, columns)
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def hang_up(self) -> None:
        """Close the terminal's window; the shell tells of it as well as the kernel."""
        self._stop_reading()
        os.close(self._master)
        self._master = -1
        self._process.send_signal(signal.SIGHUP)

    def _stop_reading(self) -> None:
        self._enough.close()
        self._reader.join(DEADLINE)

    def wait(self) -> int:
        """Wait for the program's end and its last output; the exit status."""
        status = self._process.wait(DEADLINE)
        if self._master >= 0:
            self._reader.join(DEADLINE)
        return status

    def __enter__(self) -> "PseudoTerminal":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._stop_reading()
        self._told.close()
        if self._master >= 0:
            os.close(self._master)
