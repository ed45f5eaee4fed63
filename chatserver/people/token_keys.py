"""What tokens are signed and checked with: one shared secret, or the public keys of somebody else
who signs them. Which algorithm a key is for stands in the key, never in a token.
"""

import json
import os
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import jwt

from chatserver.errors import StartError
from chatserver.people.token_terms import MIN_SECRET_BYTES

SECRET_ALGORITHM: Final = "HS256"

PUBLIC_ALGORITHMS: Final[Mapping[tuple[Any, Any], str]] = {
    ("OKP", "Ed25519"): "EdDSA",
    ("EC", "P-256"): "ES256",
    ("RSA", None): "RS256",
}
"""By a key's type and curve, the one algorithm that it is for."""

MIN_RSA_BITS: Final = 2048
"""Of an RSA key (RFC 7518, section 3.3)."""

MAX_KEYS_BYTES: Final = 1024 * 1024
"""Of a file with keys: a thousand of them."""

OWNER_ONLY: Final = 0o077
"""Bits of a file's mode that let others than its owner in."""


class TokenKeys(ABC):
    """What checks tokens."""

    @abstractmethod
    def find(self, kid: str | None) -> "tuple[Any, str] | None":
        """The key that a token names, None if it names none, and the one algorithm that it is for;
        None if there is no such key. Raises StartError if the keys cannot be read."""


class SharedSecret(TokenKeys):
    """Who checks can sign, too."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def find(self, kid: str | None) -> tuple[Any, str] | None:
        # Whoever signs with it names no key.
        return None if kid is not None else (self._secret, SECRET_ALGORITHM)


class _File(TokenKeys):
    """Keys in a file, which is read again when it has changed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._keys: Mapping[str | None, tuple[Any, str]] = {}

    def find(self, kid: str | None) -> tuple[Any, str] | None:
        try:
            status = os.stat(self.path)
            seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)
            if seen != self._seen:
                with open(self.path, "rb") as file:
                    content = file.read(MAX_KEYS_BYTES)
                self._keys = self.parse(content, status.st_mode)
                self._seen = seen
        except OSError as error:
            raise StartError(f"Cannot read {self.path} ({error.strerror}).") from None
        return self._keys.get(kid)

    @abstractmethod
    def parse(self, content: bytes, mode: int) -> Mapping[str | None, tuple[Any, str]]:
        """The keys that the file holds, by what tokens call them. Raises StartError."""


class SecretFile(_File):
    """The secret in a file of its own, which `make` makes. As long as there is none, nobody has
    signed anything with it."""

    def find(self, kid: str | None) -> tuple[Any, str] | None:
        if not os.path.exists(self.path):
            return None
        return super().find(kid)

    def parse(self, content: bytes, mode: int) -> Mapping[str | None, tuple[Any, str]]:
        if mode & OWNER_ONLY:
            raise StartError(
                f"Others than its owner may read the secret {self.path}; chmod 600 it, and if they"
                " may have read it, remove it to have a new one made."
            )
        secret = content.strip()
        if len(secret) < MIN_SECRET_BYTES:
            raise StartError(f"The secret in {self.path} is shorter than {MIN_SECRET_BYTES} bytes.")
        return {None: (secret, SECRET_ALGORITHM)}

    def make(self) -> None:
        """Make sure of a secret. Of several that do so at once, one does. Raises StartError."""
        if os.path.exists(self.path):
            return
        try:
            # Only its owner can read it, and nobody reads a part of it.
            number, unfinished = tempfile.mkstemp(dir=os.path.dirname(self.path) or ".")
            try:
                with open(number, "w", encoding="ascii") as file:
                    file.write(secrets.token_hex(MIN_SECRET_BYTES) + "\n")
                os.link(unfinished, self.path)
            finally:
                os.unlink(unfinished)
        except FileExistsError:
            pass
        except OSError as error:
            raise StartError(f"Cannot write {self.path} ({error.strerror}).") from None


class PublicKeys(_File):
    """A JWKS file (RFC 7517, section 5): keys of Ed25519, RSA and P-256."""

    def parse(self, content: bytes, mode: int) -> Mapping[str | None, tuple[Any, str]]:
        found: dict[str | None, tuple[Any, str]] = {}
        try:
            listed = json.loads(content)["keys"]
            for entry in listed:
                algorithm = algorithm_of(entry)
                if algorithm is not None:
                    key = jwt.PyJWK(entry, algorithm=algorithm).key
                    if algorithm == "RS256" and key.key_size < MIN_RSA_BITS:
                        raise ValueError(f"a key has less than {MIN_RSA_BITS} bits")
                    found[entry.get("kid")] = (key, algorithm)
        except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StartError(f"{self.path} is no JWKS file ({error}).") from None
        if not found:
            raise StartError(f"{self.path} has no key for EdDSA (Ed25519), RS256 or ES256.")
        if len(found) == 1:
            # It need not be named.
            found[None] = next(iter(found.values()))
        return found


def algorithm_of(entry: Mapping[str, Any]) -> str | None:
    """The one algorithm that a public key is for; None: the file has it for something else."""
    if entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    algorithm = PUBLIC_ALGORITHMS.get((entry.get("kty"), entry.get("crv")))
    return algorithm if entry.get("alg", algorithm) == algorithm else None
