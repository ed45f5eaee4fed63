"""The job queue with real servers: flask run, and gunicorn on gevent."""

from __future__ import annotations

import io
import json
import sys
import threading
from pathlib import Path

import pytest

from capnweb_sync.client import reconnect
from examples.jobs.api import TaskApi
from examples.jobs.jobs import State, Status
from examples.jobs.submit import Submission, log_in
from examples.jobs.worker import count_words, work
from tests.conftest import StartProcess
from tests.processes import DEADLINE, free_port

TEXT = b"to be or not to be"
COUNTS = b"2 to\n2 be\n1 or\n1 not\n"


def settings(folder: Path) -> dict[str, str]:
    return {
        "JOBS_FOLDER": str(folder / "jobs"),
        "JOBS_SECRET_KEY": "of these tests",
        "JOBS_PEOPLE": json.dumps({"Ada": "secret"}),
        "JOBS_TOKEN": "worker",
    }


SERVERS = {
    "flask run": ("flask", "--app", "examples.jobs.app", "run", "--port"),
    "gevent": (
        *("gunicorn", "-k", "capnweb_sync.server.worker.WebSocketWorker"),
        *("--graceful-timeout", "1", "examples.jobs.app:create_app()", "-b"),
    ),
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_restart_of_the_server_in_the_middle_of_a_job_costs_nothing(
    server: str, tmp_path: Path, start_process: StartProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(reconnect, "MAX_DELAY", 0.2)
    port = free_port()
    where = str(port) if server == "flask run" else f"127.0.0.1:{port}"
    command = (sys.executable, "-m", *SERVERS[server], where)
    ready = "sh", "-c", 'exec "$@" 2>&1', "sh", *command
    first = start_process(*ready, env=settings(tmp_path), ready=rf"http://127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}"
    begun, go_on = threading.Event(), threading.Event()

    def wait_for_the_restart(task: TaskApi) -> None:
        begun.set()
        assert go_on.wait(DEADLINE)
        count_words(task)

    path, result = tmp_path / "hamlet", io.BytesIO()
    path.write_bytes(TEXT)
    submission = Submission(url, log_in(url, "Ada", "secret"), lambda state: None)
    with submission.session, work(f"ws://127.0.0.1:{port}/work", "worker", wait_for_the_restart):
        states: list[State] = []
        running = threading.Thread(
            target=lambda: states.append(submission.run(path, result, DEADLINE))
        )
        running.start()
        assert begun.wait(DEADLINE)
        first.kill()
        start_process(*ready, env=settings(tmp_path), ready=rf"http://127.0.0.1:{port}")
        go_on.set()
        running.join()

    assert [state.status for state in states] == [Status.DONE]
    assert result.getvalue() == COUNTS
