"""Figures of all workers, in the files of prometheus_client's multiprocess mode.

Each worker writes its own once a second, whoever is asked for them reads those of all. Counting
itself happens in plain integers elsewhere: a labelled counter and a histogram of the library's cost
more than a tenth of a call.

A worker that ends leaves its counts behind, or sums would fall: they are added to those of all
that have ended before, in files with process 0.
"""

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.utils import floatToGoString

from capnweb_sync.observe.durations import BOUNDS, Durations
from chatserver.errors import StartError
from chatserver.observe.families import Family

Sample = tuple[Family, tuple[str, ...], float | Durations]
"""A figure, or a histogram of such: its family and the values of its labels."""

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's own: the environment's word for the directory, which workers share."""

PREFIX: Final = "chatserver-metrics-"

MEMORY: Final = "/dev/shm"
"""A directory in memory, where there is one: writing there costs no disk."""

THE_DEAD: Final = 0
"""The process whose files have the counts of all that have ended."""

LE: Final = "le"
"""The label of a histogram's buckets."""


class Directory:
    """Where the files are. Whoever makes it removes it at the end.

    Attributes:
        path: of the directory.
    """

    def __init__(self, path: str | None = None) -> None:
        """Use the directory `path`, or make one, and remove those whose makers were killed."""
        self._made = path is None
        self._owner: int | None = None
        base = MEMORY if os.access(MEMORY, os.W_OK) else tempfile.gettempdir()
        if path is None:
            _sweep(base)
        self.path = path or self._make(base)

    def _make(self, base: str) -> str:
        """Locked before it has its name, so that nobody takes it for one that was left behind."""
        fresh = tempfile.mkdtemp(prefix=".chatserver-", dir=base)
        self._owner = os.open(os.path.join(fresh, "owner"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        made = os.path.join(base, PREFIX + os.path.basename(fresh).rpartition("-")[2])
        os.rename(fresh, made)
        return made

    def empty(self) -> None:
        """Forget what another server has written there."""
        for path in glob.glob(os.path.join(self.path, "*.db")):
            os.remove(path)

    def bury(self, pid: int) -> None:
        """The process has ended: keep its counts, and nothing else of it."""
        with self.locked(fcntl.LOCK_EX):
            for kind in ("counter", "histogram"):
                left = self.file(kind, pid)
                if not os.path.exists(left):
                    continue
                kept = MmapedDict(self.file(kind, THE_DEAD))
                for key, value, stamp, _ in MmapedDict.read_all_values_from_file(left):
                    kept.write_value(key, kept.read_value(key)[0] + value, stamp)
                kept.close()
                os.remove(left)
            mark_process_dead(pid, self.path)

    def file(self, kind: str, pid: int) -> str:
        """The file of a process for one kind of families."""
        return os.path.join(self.path, f"{kind}_{pid}.db")

    @contextmanager
    def locked(self, how: int) -> Iterator[None]:
        """A moment in which nobody is buried, or in which nobody looks (see `fcntl.flock`)."""
        descriptor = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """At the end of the server. Idempotent."""
        if self._made:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None

    def collect(self) -> MultiProcessCollector:
        """The figures of all processes, for prometheus_client's encoders; to be used `locked`."""
        return MultiProcessCollector(None, self.path)


def open_directory() -> Directory:
    """Where the figures of all workers are: what the environment says, or a new one. Raises
    StartError."""
    try:
        return Directory(os.environ.get(VARIABLE) or None)
    except OSError as error:
        raise StartError(
            f"There is no directory for the figures of /metrics ({error}); make /tmp writable, or"
            f" name one with {VARIABLE}."
        ) from None


def _sweep(base: str) -> None:
    """Remove directories whose makers were killed: nobody holds their locks."""
    for path in glob.glob(os.path.join(base, f"{PREFIX}*")):
        # Another user's, or another server is sweeping, too.
        with suppress(OSError):
            owner = os.open(os.path.join(path, "owner"), os.O_RDWR)
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(owner)


class Files:
    """The files of this process."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._pid = os.getpid()
        self._files: dict[str, MmapedDict] = {}
        self._keys: dict[tuple[str, ...], str] = {}

    def write(self, samples: Iterable[Sample]) -> None:
        """Write what there is now in place of what was written before."""
        for family, labels, value in samples:
            if isinstance(value, Durations):
                for bound, number in zip((*BOUNDS, float("inf")), value.counts, strict=True):
                    self._write(family, "_bucket", (*labels, floatToGoString(bound)), number)
                self._write(family, "_sum", labels, value.seconds)
            else:
                suffix = "_total" if family.kind == "counter" else ""
                self._write(family, suffix, labels, value)

    def _write(self, family: Family, suffix: str, labels: tuple[str, ...], value: float) -> None:
        place = (family.name, suffix, *labels)
        key = self._keys.get(place)
        if key is None:
            names = [*family.labels, LE][: len(labels)]
            key = self._keys[place] = mmap_key(
                family.name, family.name + suffix, names, list(labels), family.help
            )
        file = self._files.get(family.kind)
        if file is None:
            file = self._files[family.kind] = MmapedDict(
                self._directory.file(family.kind, self._pid)
            )
        file.write_value(key, value, 0.0)

    def close(self) -> None:
        """Let go of them; what was written stays."""
        for file in self._files.values():
            file.close()
        self._files.clear()
