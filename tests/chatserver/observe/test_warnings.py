"""What will hurt at night is told at the start, in a sentence with what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatserver.observe.warnings import warn_of_certificate
from chatserver.store.sqlite.file_system import network_file_system
from tests.chatserver.test_gunicorn import COMMAND
from tests.conftest import StartProcess, StartServer
from tests.processes import Processes, free_port
from tests.redis_server import ON_DISK, RedisServer, require_redis


@pytest.mark.parametrize("server", [("-m", "chatserver"), COMMAND])
def test_too_few_open_files_are_told(start_process: StartProcess, server: tuple[str, ...]) -> None:
    command = " ".join(f"'{word}'" for word in (sys.executable, *server))
    env = {"CHAT_PORT": str(free_port()), "CHAT_STORE": "memory:"}

    process = start_process("sh", "-c", f"ulimit -n 500; exec {command}", env=env)

    process.wait_for_line("Only 500 files .* 11000 connections; raise the limit", stderr=True)


def test_a_redis_that_forgets_or_evicts_is_told_once_and_one_that_does_not_is_not(
    processes: Processes, start_server: StartServer, start_process: StartProcess, tmp_path: Path
) -> None:
    require_redis()
    careless = processes.add(
        RedisServer(tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    )
    careful = processes.add(RedisServer(tmp_path, *ON_DISK))
    env = {"CHAT_PORT": str(free_port()), "CHAT_STORE": careless.url, "CHAT_WORKERS": "2"}
    gunicorn = start_process(sys.executable, *COMMAND, env=env)

    gunicorn.wait_for_line("no append-only file.* --appendonly yes", stderr=True)
    gunicorn.wait_for_line("allkeys-lru.* noeviction", stderr=True)
    gunicorn.terminate()
    quiet = start_server("--store", careful.url)
    quiet.terminate()

    assert "\n".join(gunicorn.error_lines).count("append-only") == 1
    assert quiet.error_lines == []


MOUNTS = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:50 / /srv rw,relatime - nfs4 fileserver:/srv rw
23 22 8:2 / /srv/local\\040disk rw - xfs /dev/sdb1 rw
24 21 0:51 / /home rw shared:2 - ext4 /dev/sdc1 rw
25 21 0:52 / /home rw shared:3 master:4 - fuse.sshfs me@there: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/chat.db", None),
        ("/srv/chat.db", "nfs4"),
        ("/srvice/chat.db", None),
        ("/srv/local disk/chat.db", None),
        ("/home/me/chat.db", "fuse.sshfs"),
    ],
)
def test_a_network_file_system_is_known_by_its_mount(
    path: str, kind: str | None, tmp_path: Path
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)

    assert network_file_system(path, str(mounts)) == kind


ON_A_NETWORK = """
from gevent import monkey; monkey.patch_all()
import sys
from chatserver.__main__ import main
from chatserver.store.sqlite import file_system
file_system.network_file_system.__defaults__ = (sys.argv.pop(),)
main()
"""


def test_a_database_on_a_network_file_system_is_told(
    start_process: StartProcess, tmp_path: Path
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 21 0:50 / {tmp_path} rw - nfs4 fileserver:/srv rw\n")
    options = ("--port", str(free_port()), "--store", f"sqlite:///{tmp_path}/chat.db")

    server = start_process(sys.executable, "-c", ON_A_NETWORK, *options, str(mounts))

    server.wait_for_line(r"network file system \(nfs4\).* local disk", stderr=True)


def openssl(directory: Path, *arguments: str) -> None:
    """Have it done by OpenSSL's own program."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here: certificates are not tested")
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem")


def certificate(directory: Path, days: int) -> tuple[str, str]:
    """A certificate that ends in so many days, and its key."""
    name = ("-subj", "/CN=chat.example", "-days", str(days), "-out", "certificate.pem")
    openssl(directory, "req", "-x509", *NEW, *name)
    return str(directory / "certificate.pem"), str(directory / "key.pem")


AUTHORITY = """\
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def ended_certificate(directory: Path) -> tuple[str, str]:
    """A certificate that ended in 2020, and its key."""
    (directory / "authority.cnf").write_text(AUTHORITY)
    (directory / "index.txt").touch()
    openssl(directory, "req", "-new", *NEW, "-subj", "/CN=chat.example", "-out", "request.pem")
    dates = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    own = ("-selfsign", "-batch", "-config", "authority.cnf", "-keyfile", "key.pem")
    openssl(directory, "ca", *own, *dates, "-in", "request.pem", "-out", "certificate.pem")
    return str(directory / "certificate.pem"), str(directory / "key.pem")


@pytest.mark.parametrize(
    ("days", "told"),
    [(90, None), (10, "ends in 9 days")],
)
def test_a_certificate_that_ends_soon_is_told(
    days: int, told: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_certificate(*certificate(tmp_path, days))

    assert [told for record in caplog.records if told and told in record.message] == (
        [told] if told else []
    )
    assert len(caplog.records) == (told is not None)


def test_a_certificate_that_has_ended_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_certificate(*ended_certificate(tmp_path))

    assert "is not valid now" in caplog.text
