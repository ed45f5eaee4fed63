"""Several workers need a store that they can share."""

import sys
from pathlib import Path

from tests.conftest import StartProcess
from tests.processes import free_port


def test_several_workers_on_a_file_are_refused_in_one_sentence_with_both_remedies(
    start_process: StartProcess, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path}/chat.db"
    gunicorn = start_process(
        sys.executable,
        *("-m", "gunicorn", "-c", "python:chatserver.gunicorn_conf", "chatserver:create_app()"),
        env={"CHAT_PORT": str(free_port()), "CHAT_WORKERS": "4", "CHAT_STORE": store},
    )

    assert gunicorn.wait() != 0
    (refusal,) = (line for line in gunicorn.error_lines if store in line)
    assert "--workers 1" in refusal
    assert "CHAT_STORE=redis://" in refusal
    assert "Traceback" not in gunicorn.output
    assert not list(tmp_path.iterdir())
