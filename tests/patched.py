"""Tests in a process that gevent has monkey-patched: `python -m tests.patched [pytest options]`.

Threads are greenlets there, and one that blocks in any way gevent does not know hangs them all.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402 - gevent patches before anything else is imported

import pytest  # noqa: E402

if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
