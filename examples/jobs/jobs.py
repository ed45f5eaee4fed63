"""The queue, and its jobs on disk. Each job is a folder with its text, its state and its result, so
that a restart forgets nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from threading import Lock
from uuid import UUID

import msgspec


class Status(Enum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OVER = frozenset({Status.DONE, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True)
class State:
    """What there is to know of a job."""

    number: int
    key: UUID
    owner: str
    name: str
    status: Status = Status.WAITING
    progress: float = 0.0
    reason: str = ""


class Job:
    """One job."""

    def __init__(self, folder: Path, state: State) -> None:
        """Keep it in `folder`, which exists."""
        self.state = state
        self.text = folder / "text"
        self.result = folder / "result"
        self.listeners: list[Callable[[State], None]] = []
        self._file = folder / "state.json"
        self._changing = Lock()

    @classmethod
    def load(cls, folder: Path) -> Job:
        """The job that is in `folder`. Whoever ran it is gone."""
        state = msgspec.json.decode((folder / "state.json").read_bytes(), type=State)
        if state.status is Status.RUNNING:
            state = replace(state, status=Status.WAITING)
        return cls(folder, state)

    def save(self) -> None:
        """Write its state down."""
        draft = self._file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(self.state))
        draft.rename(self._file)

    def move(self, status: Status, reason: str = "") -> bool:
        """To another status, unless it is over; whether it was not."""
        with self._changing:
            if self.state.status in OVER:
                return False
            progress = 1.0 if status is Status.DONE else 0.0
            self.state = replace(self.state, status=status, progress=progress, reason=reason)
            self.save()
        self._tell()
        return True

    def advance(self, progress: float) -> None:
        """It has come so far, from 0 to 1."""
        with self._changing:
            self.state = replace(self.state, progress=progress)
        self._tell()

    def _tell(self) -> None:
        for listener in list(self.listeners):
            listener(self.state)


class WorkerGone(Exception):
    """A worker went away in the middle of a job."""


Start = Callable[[Job, Callable[[BaseException | None], None]], None]
"""Has a worker start a job; calls the function at the end, with what it has failed with."""


class Worker:
    """Somebody who works on one job at a time."""

    def __init__(self, start: Start) -> None:
        self.start = start


class Jobs:
    """All jobs, and those who work on them."""

    def __init__(self, folder: Path) -> None:
        """Load those that are in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = Lock()
        loaded = [Job.load(file.parent) for file in folder.glob("*/state.json")]
        self._jobs = {job.state.number: job for job in loaded}
        waiting = [job for job in self._jobs.values() if job.state.status is Status.WAITING]
        self._waiting = deque(sorted(waiting, key=lambda job: job.state.number))
        self._idle: deque[Worker] = deque()
        self._last = max(self._jobs, default=0)

    def of(self, owner: str) -> list[Job]:
        """The jobs of a person, the oldest first."""
        with self._lock:
            jobs = [job for job in self._jobs.values() if job.state.owner == owner]
        return sorted(jobs, key=lambda job: job.state.number)

    def submit(self, owner: str, key: UUID, name: str, text: Iterable[bytes]) -> Job:
        """A new job, which waits for a worker as soon as its text is there; or the one that this
        person has submitted with this key before."""
        for job in self.of(owner):
            if job.state.key == key:
                return job
        with self._lock:
            self._last += 1
            number = self._last
        folder = self._folder / str(number)
        folder.mkdir()
        job = Job(folder, State(number, key, owner, name))
        with job.text.open("wb") as file:
            file.writelines(text)
        job.save()
        with self._lock:
            self._jobs[number] = job
            self._waiting.append(job)
        self._assign()
        return job

    def add(self, worker: Worker) -> None:
        """A worker has come."""
        with self._lock:
            self._idle.append(worker)
        self._assign()

    def remove(self, worker: Worker) -> None:
        """A worker is gone."""
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)

    def _assign(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or not self._idle:
                    return
                job, worker = self._waiting.popleft(), self._idle.popleft()
            if job.move(Status.RUNNING):
                worker.start(job, partial(self._ended, job, worker))
            else:
                self.add(worker)

    def _ended(self, job: Job, worker: Worker, error: BaseException | None) -> None:
        if isinstance(error, WorkerGone):
            if job.move(Status.WAITING):
                with self._lock:
                    self._waiting.appendleft(job)
                self._assign()
            return
        job.move(Status.FAILED, str(error) if error else "The worker has left it undone.")
        self.add(worker)
