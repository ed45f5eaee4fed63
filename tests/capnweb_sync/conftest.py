"""What the tests of `capnweb_sync` share."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from capnweb_sync.runtimes import interface
from capnweb_sync.runtimes.threads import thread_runtime


@pytest.fixture(autouse=True)
def default_runtime_restored() -> Iterator[None]:
    """A test may choose the runtime of stubs that belong to no session; the next has its own."""
    before = interface._default
    yield
    interface._default = before


@pytest.fixture
def no_thread_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle threads end, also on a Python on which some are kept because none can be had later."""
    monkeypatch.setattr(thread_runtime(), "_kept", 0)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("the command openssl is not there: TLS IS NOT TESTED")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    options = "-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(path), "-out", "-"]
    command = ["openssl", "req", *options.split(), *names]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    path.write_bytes(path.read_bytes() + made)
    return path
