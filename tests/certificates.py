"""Certificates for tests, made by the command `openssl`; where it is not there, tests skip."""

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

EC = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
RSA = ("rsa:2048",)


class Pair(NamedTuple):
    """A self-signed certificate for localhost, and its key."""

    certificate: Path
    key: Path

    def copy(self, folder: Path) -> "Pair":
        """The same in another folder, which is made."""
        folder.mkdir()
        other = Pair(*(folder / path.name for path in self))
        other.replace(self)
        return other

    def replace(self, other: "Pair") -> None:
        """Put another certificate in the place of this one, as who renews it does."""
        for mine, its in zip(self, other, strict=True):
            fresh = mine.with_suffix(".fresh")
            fresh.write_bytes(its.read_bytes())
            fresh.rename(mine)

    def trusting(self) -> ssl.SSLContext:
        """For a client that connects only to who shows this certificate now."""
        context = ssl.create_default_context(cadata=self.certificate.read_text())
        # It is its own root, and says nothing of being one.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def make_certificate(folder: Path, key: tuple[str, ...] = EC, password: str = "") -> Pair:
    """Make one in `folder`, which is made, too."""
    folder.mkdir(exist_ok=True)
    secret = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    command = ["openssl", "req", "-x509", "-newkey", *key, *secret, "-days", "2", *subject, *files]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("the command openssl is not there: TLS IS NOT TESTED")
    return Pair(folder / "cert.pem", folder / "key.pem")
