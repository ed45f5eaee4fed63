"""Under gunicorn everything is logged in one form, from gunicorn's `--log-level` on."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.chatserver.conftest import Connect
from tests.chatserver.test_gunicorn import COMMAND
from tests.chatserver.test_http import get
from tests.conftest import StartProcess
from tests.processes import Process, free_port, wait_until


class Gunicorn:
    """One worker, about to serve."""

    def __init__(self, start_process: StartProcess, *options: str, **env: str) -> None:
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/rpc/ws"
        environment = {"CHAT_PORT": str(self.port), "CHAT_STORE": "memory:", **env}
        self.process: Process = start_process(sys.executable, *COMMAND, *options, env=environment)
        wait_until(self.serves)

    def serves(self) -> bool:
        try:
            return get(("127.0.0.1", self.port), "/readyz")[0] == 200
        except ConnectionError:
            return False


def test_gunicorn_the_chat_and_the_library_have_one_form(
    start_process: StartProcess, connect: Connect
) -> None:
    gunicorn = Gunicorn(start_process)
    connect(gunicorn.url).join("Alice")
    gunicorn.process.terminate()

    lines = gunicorn.process.error_lines
    form = r"^\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d [A-Z]+ \d+ (gunicorn|chatserver)[.\w]*: \S"
    assert [line for line in lines if not re.search(form, line)] == []
    for said in ("Booting worker", "chatserver: Started", "workers=1", "path=/rpc/ws status=101"):
        assert any(said in line for line in lines), said
    assert any("person=Alice code=1001 by=server" in line for line in lines)
    assert gunicorn.process.lines == []


@pytest.mark.parametrize(
    ("options", "env"),
    [(("--log-level", "warning"), {}), ((), {"CHAT_LOG_LEVEL": "WARNING"})],
)
def test_the_level_is_everybodys(
    start_process: StartProcess, connect: Connect, options: tuple[str, ...], env: dict[str, str]
) -> None:
    gunicorn = Gunicorn(start_process, *options, CHAT_NO_ACCESS_LOG="1", **env)
    connect(gunicorn.url).join("Alice")

    assert gunicorn.process.terminate() == 0

    assert gunicorn.process.error_lines == []


def test_json_is_an_object_a_line_and_goes_where_gunicorn_is_told(
    start_process: StartProcess, connect: Connect, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    gunicorn = Gunicorn(start_process, "--error-logfile", str(log), CHAT_LOG_FORMAT="json")
    connect(gunicorn.url).join("Alice")

    wait_until(lambda: "Joined" in log.read_text())

    loggers = {json.loads(line)["logger"] for line in log.read_text().splitlines()}
    assert loggers >= {"gunicorn.error", "chatserver", "chatserver.people"}
