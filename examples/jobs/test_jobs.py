"""What people and workers can do, in one process and without a socket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from capnweb_sync import RemoteError
from capnweb_sync.shell.api_module import write_module
from capnweb_sync.testing import Pair, pair
from examples.jobs.api import BenchApi, DeskApi, TaskApi
from examples.jobs.app import create_app
from examples.jobs.desk import Bench, Desk
from examples.jobs.jobs import Jobs, State, Status
from examples.jobs.worker import count_words

TEXT = b"to be or not to be"
COUNTS = b"2 to\n2 be\n1 or\n1 not\n"

DEADLINE = 20.0
"""Seconds that something may take on a busy machine before a test fails."""

Sit = Callable[[str], Pair[DeskApi]]


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


@pytest.fixture
def sit(jobs: Jobs) -> Iterator[Sit]:
    """Sit down at the desk, as somebody."""
    pairs: list[Pair[DeskApi]] = []

    def sit(name: str) -> Pair[DeskApi]:
        pairs.append(pair(Desk(jobs, name), api=DeskApi))
        return pairs[-1]

    yield sit
    for both in pairs:
        both.close()


@pytest.fixture
def bench(jobs: Jobs) -> Iterator[Pair[BenchApi]]:
    with pair(Bench(jobs), api=BenchApi) as both:
        yield both


def submit(desk: Pair[DeskApi]) -> int:
    return desk.main.submit(uuid4(), "hamlet", iter([TEXT[:5], TEXT[5:]])).result().number


def test_a_worker_counts_the_words_and_the_owner_watches(sit: Sit, bench: Pair[BenchApi]) -> None:
    ada = sit("Ada")
    states: list[State] = []
    job = ada.main.open(submit(ada)).result()
    job.watch(states.append).result()

    bench.main.work(count_words).result()
    bench.settle()
    ada.settle()

    assert b"".join(job.fetch().result()) == COUNTS
    assert [(state.status, state.progress) for state in states] == [
        (Status.RUNNING, 0.0),
        (Status.RUNNING, 1.0),
        (Status.DONE, 1.0),
    ]


def test_nobody_sees_the_jobs_of_another(sit: Sit) -> None:
    number = submit(sit("Ada"))
    grace = sit("Grace")

    assert grace.main.jobs().result() == []
    with pytest.raises(RemoteError, match="You have no job 1") as raised:
        grace.main.open(number).result()
    assert raised.value.code == "not_found"


def test_what_is_cancelled_is_worked_on_no_further(sit: Sit, bench: Pair[BenchApi]) -> None:
    ada = sit("Ada")
    number = submit(ada)
    seen: list[str | None] = []

    def change_ones_mind(task: TaskApi) -> None:
        assert ada.main.open(number).cancel().result()
        error = task.progress(0.5).exception()
        assert isinstance(error, RemoteError)
        seen.append(error.code)

    bench.main.work(change_ones_mind).result()
    bench.settle()

    assert seen == ["cancelled"]
    assert ada.main.open(number).state().result().status is Status.CANCELLED


def test_a_worker_that_fails_is_told_of_and_gets_the_next_one(
    sit: Sit, bench: Pair[BenchApi]
) -> None:
    ada = sit("Ada")
    submit(ada)
    submit(ada)
    tasks: list[int] = []

    def fail_once(task: TaskApi) -> None:
        tasks.append(task.size().result())
        if len(tasks) > 1:
            count_words(task)

    bench.main.work(fail_once).result()
    bench.settle()

    first, second = ada.main.jobs().result()
    assert (first.status, first.reason) == (Status.FAILED, "The worker has left it undone.")
    assert second.status is Status.DONE


def test_a_job_whose_worker_is_gone_is_anothers(
    jobs: Jobs, sit: Sit, bench: Pair[BenchApi]
) -> None:
    ada = sit("Ada")
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def hang(task: TaskApi) -> None:
        begun.set()
        assert go_on.wait(DEADLINE)

    def hear(state: State) -> None:
        if state.status is Status.DONE:
            done.set()

    ada.main.open(submit(ada)).watch(hear).result()

    with pair(Bench(jobs), api=BenchApi) as other:
        other.main.work(hang).result()
        assert begun.wait(DEADLINE)
        bench.main.work(count_words).result()
        other.disconnect()

        assert done.wait(DEADLINE)
        go_on.set()


def test_only_who_has_logged_in_gets_a_desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_FOLDER", str(tmp_path))
    monkeypatch.setenv("JOBS_SECRET_KEY", "of this test")
    monkeypatch.setenv("JOBS_PEOPLE", '{"Ada": "secret"}')
    monkeypatch.setenv("JOBS_TOKEN", "of workers")
    client = create_app().test_client()
    ask = '["push",["pipeline",0,["jobs"],[]]]\n["pull",1]'

    assert client.post("/rpc", data=ask).status_code == 401
    assert client.post("/work", data=ask).status_code == 401
    assert client.post("/login", data={"name": "Ada", "password": "?"}).status_code == 403
    assert client.post("/login", data={"name": "Ada", "password": "secret"}).status_code == 200
    assert client.post("/rpc", data=ask).text == '["resolve",1,[[]]]'


def test_the_api_is_what_the_classes_are() -> None:
    written = write_module(
        [Desk, Bench], "capnweb stubs examples.jobs.desk:Desk examples.jobs.desk:Bench"
    )

    assert Path(__file__).with_name("api.py").read_text(encoding="utf-8") == written
