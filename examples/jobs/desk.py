"""What people and workers hold. Whoever has one of these may do what it can, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from capnweb_sync import (
    ReadableStream,
    RpcError,
    RpcPromise,
    RpcStub,
    RpcTarget,
    SessionClosed,
    broadcast,
)

from .jobs import OVER, Job, Jobs, State, Status, Worker, WorkerGone


class Handle(RpcTarget):
    """A job of one's own."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def state(self) -> State:
        """Where it is."""
        return self._job.state

    def watch(self, callback: Callable[[State], RpcPromise[None]]) -> State:
        """Hear of each change. Returns where it is now."""
        assert isinstance(callback, RpcStub)
        watcher = callback.dup()

        def tell(state: State) -> None:
            broadcast([watcher], None, state)

        self._job.listeners.append(tell)
        watcher.on_broken(lambda error: self._job.listeners.remove(tell))
        return self._job.state

    def cancel(self) -> bool:
        """Whether it was not over yet."""
        return self._job.move(Status.CANCELLED)

    def fetch(self) -> ReadableStream:
        """What the worker has made of it."""
        if self._job.state.status is not Status.DONE:
            raise RpcError("This job is not done.", code="not_done")
        return ReadableStream(self._job.result.open("rb"))


class Desk(RpcTarget):
    """Where a person submits jobs."""

    def __init__(self, jobs: Jobs, user: str) -> None:
        self._jobs = jobs
        self._user = user

    def submit(self, key: UUID, name: str, text: ReadableStream) -> State:
        """Have the words of a text counted. Returns when the text is stored. Whoever has lost the
        answer asks again with the same key, and gets the same job."""
        return self._jobs.submit(self._user, key, name, text).state

    def jobs(self) -> list[State]:
        """One's jobs, the oldest first."""
        return [job.state for job in self._jobs.of(self._user)]

    def open(self, number: int) -> Handle:
        """One of them."""
        for job in self._jobs.of(self._user):
            if job.state.number == number:
                return Handle(job)
        raise RpcError(f"You have no job {number}.", code="not_found")


class Task(RpcTarget):
    """A job, for whoever works on it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def size(self) -> int:
        """Bytes of the text."""
        return self._job.text.stat().st_size

    def text(self) -> ReadableStream:
        """What is to be worked on."""
        return ReadableStream(self._job.text.open("rb"))

    def progress(self, part: float) -> None:
        """So much is done, from 0 to 1. Refused where nobody wants it any more."""
        self._check()
        self._job.advance(part)

    def finish(self, result: ReadableStream) -> None:
        """It is done."""
        self._check()
        with self._job.result.open("wb") as file:
            file.writelines(result)
        self._job.move(Status.DONE)

    def _check(self) -> None:
        if self._job.state.status in OVER:
            raise RpcError("Nobody wants this job any more.", code="cancelled")


class Bench(RpcTarget):
    """Where a worker offers his services."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def work(self, callback: Callable[[Task], RpcPromise[None]]) -> None:
        """Be called with a task whenever there is one, and with the next when that call has
        returned."""
        assert isinstance(callback, RpcStub)
        kept = callback.dup()

        def start(job: Job, ended: Callable[[BaseException | None], None]) -> None:
            def over(promise: RpcPromise[None]) -> None:
                error = promise.exception()
                ended(WorkerGone() if isinstance(error, SessionClosed) else error)

            kept(Task(job)).add_done_callback(over)

        worker = Worker(start)
        self._jobs.add(worker)
        kept.on_broken(lambda error: self._jobs.remove(worker))
