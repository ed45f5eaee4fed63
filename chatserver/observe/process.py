"""Figures of this process, as Linux has them: prometheus_client has none in multiprocess mode."""

import os
import resource
import time
from collections.abc import Iterator
from typing import Final

from chatserver.observe import families
from chatserver.observe.files import Sample

STAT: Final = "/proc/self/stat"
DESCRIPTORS: Final = "/proc/self/fd"

THREADS_FIELD: Final = 17
RESIDENT_FIELD: Final = 21
"""Places in proc(5)'s `stat`, from the state behind the name of the program on."""

BEGAN: Final = time.time()


def process_samples() -> Iterator[Sample]:
    """What is cheap to ask."""
    yield families.CPU_SECONDS, (), time.process_time()
    yield families.STARTED, (), BEGAN
    if os.path.exists(STAT):
        with open(STAT, "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        yield families.THREADS, (), int(fields[THREADS_FIELD])
        yield families.RESIDENT, (), int(fields[RESIDENT_FIELD]) * resource.getpagesize()


def descriptor_samples() -> Iterator[Sample]:
    """What takes longer the more connections there are."""
    yield families.FILES_LIMIT, (), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if os.path.exists(DESCRIPTORS):
        yield families.OPEN_FILES, (), len(os.listdir(DESCRIPTORS))
