"""On what kind of file system a file is, as Linux tells it."""

import os
from pathlib import Path
from typing import Final

MOUNTS: Final = "/proc/self/mountinfo"

NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gfs2"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "ocfs2"}
)
"""Those whose files other machines see, too: SQLite's WAL is for the memory of one machine."""


def network_file_system(path: str, mounts: str = MOUNTS) -> str | None:
    """The kind of the file system that has `path`, if it is one of a network; None if it is not, or
    if that cannot be known.

    Args:
        path: absolute, without symbolic links.
        mounts: a file like Linux's, whose lines have the place of each mount and its kind
            (proc(5)).
    """
    if not os.path.exists(mounts):
        return None
    best, kind = "", ""
    for line in Path(mounts).read_text(errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        place = before.split()[4].encode().decode("unicode_escape")
        # The last one of those at the same place hides the others.
        if is_below(path, place) and len(place) >= len(best):
            best, kind = place, after.split()[0]
    return kind if kind in NETWORK else None


def is_below(path: str, place: str) -> bool:
    """Whether `path` is in the directory `place`."""
    return path.startswith(place.rstrip("/") + "/")
