"""Has the words of a file counted.

    python -m examples.jobs.submit http://127.0.0.1:5000 NAME FILE

The password comes from standard input; the result goes to standard output.
"""

from __future__ import annotations

import getpass
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from capnweb_sync import ClientSession, connect

from .api import DeskApi
from .jobs import OVER, State, Status


def log_in(url: str, name: str, password: str) -> str:
    """The cookie of whoever has logged in."""
    form = urllib.parse.urlencode({"name": name, "password": password}).encode()
    with urllib.request.urlopen(f"{url}/login", form) as answer:
        cookie: str = answer.headers["Set-Cookie"]
    return cookie.partition(";")[0]


class Submission:
    """One job, watched across restarts of the server."""

    def __init__(self, url: str, cookie: str, hear: Callable[[State], object] = print) -> None:
        """Connect to the application at `url`."""
        self._hear = hear
        self._number: int | None = None
        self._over = threading.Event()
        self._last: State | None = None
        self.session = connect(
            f"{url.replace('http', 'ws', 1)}/rpc",
            api=DeskApi,
            headers={"Cookie": cookie},
            reconnect=self._watch,
        )

    def _watch(self, session: ClientSession[DeskApi]) -> None:
        if self._number is not None:
            self._changed(session.main.open(self._number).watch(self._changed).result())

    def _changed(self, state: State) -> None:
        if self._over.is_set():
            return  # an answer that was overtaken by a callback
        self._last = state
        self._hear(state)
        if state.status in OVER:
            self._over.set()

    def run(self, path: Path, result: BinaryIO, timeout: float | None = None) -> State:
        """Submit a file, wait until the job is over, and write its result, if it has one."""
        key = uuid4()
        submitted = self.session.retry(
            lambda desk: desk.submit(key, path.name, path.open("rb")), timeout
        )
        self._number = number = submitted.number
        self.session.retry(lambda desk: desk.open(number).watch(self._changed), timeout)
        self._changed(self.session.retry(lambda desk: desk.open(number).state(), timeout))
        if not self._over.wait(timeout):
            raise TimeoutError(f"The job is not done after {timeout} s.")
        assert self._last is not None
        if self._last.status is Status.DONE:
            with self.session.main.open(number).fetch().result() as chunks:
                result.writelines(chunks)
        return self._last


def main(url: str, name: str, path: str) -> int:
    """The program."""
    cookie = log_in(url, name, getpass.getpass())
    submission = Submission(url, cookie, lambda state: print(state, file=sys.stderr))
    with submission.session:
        state = submission.run(Path(path), sys.stdout.buffer)
    return 0 if state.status is Status.DONE else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
