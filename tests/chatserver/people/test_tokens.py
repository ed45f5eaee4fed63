"""Tokens: what is let in, and that each attack of RFC 8725, section 2, is refused, all alike."""

import base64
import hashlib
import hmac
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from chatserver.errors import BadRequest, StartError, Unauthorized
from chatserver.people.access import Access
from chatserver.people.token_keys import PublicKeys, SecretFile, SharedSecret, TokenKeys
from chatserver.people.tokens import MAX_TOKEN, Identity, Tokens
from chatserver.tokens import issue

SECRET = "0123456789abcdef0123456789abcdef"
TOKENS = Tokens(SharedSecret(SECRET))

ED25519 = ed25519.Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def claims(**others: Any) -> dict[str, Any]:
    """What a good token says, with these changes; None: without the claim."""
    now = int(time.time())
    said = {"sub": "Ann", "aud": "chat", "iat": now, "exp": now + 60, **others}
    return {name: value for name, value in said.items() if value is not None}


def signed(said: dict[str, Any] | None = None, headers: dict[str, Any] | None = None) -> str:
    return jwt.encode(claims() if said is None else said, SECRET, "HS256", headers=headers)


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def by_hand(header: Any, payload: Any, secret: bytes = SECRET.encode()) -> str:
    """A token that no library would sign."""
    head = f"{part(header)}.{part(payload)}"
    return f"{head}.{part(hmac.digest(secret, head.encode(), hashlib.sha256))}"


def jwks(path: Path, **keys: Any) -> PublicKeys:
    """A file with these public keys, by their `kid`."""
    makers: Any = {
        ed25519.Ed25519PrivateKey: OKPAlgorithm,
        ec.EllipticCurvePrivateKey: ECAlgorithm,
        rsa.RSAPrivateKey: RSAAlgorithm,
    }
    listed = []
    for kid, key in keys.items():
        maker = next(made for kind, made in makers.items() if isinstance(key, kind))
        listed.append({**maker.to_jwk(key.public_key(), as_dict=True), "kid": kid})
    path.write_text(json.dumps({"keys": listed}))
    return PublicKeys(str(path))


def refused(token: str, keys: TokenKeys | None = None) -> str:
    """The sentence with which a token is refused."""
    with pytest.raises(Unauthorized) as caught:
        (TOKENS if keys is None else Tokens(keys)).check(token)
    return str(caught.value)


def test_a_token_that_was_issued_says_who_it_is_for() -> None:
    token = issue("Ann", SECRET, days=2, role="moderator", rooms=["lobby"])

    identity = TOKENS.check(token)

    assert identity[:5] == ("Ann", "Ann", "ann", "moderator", ("lobby",))
    assert round(identity.until - identity.issued) == 2 * 24 * 60 * 60
    assert (identity.may_enter("lobby"), identity.may_enter("other")) == (True, False)


@pytest.mark.parametrize(("name", "error"), [("", BadRequest), ("Operator", BadRequest)])
def test_nobody_gets_a_token_for_a_name_that_nobody_can_have(
    name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        issue(name, SECRET)


def test_a_short_secret_signs_nothing() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        issue("Ann", "short")


ATTACKS: dict[str, Callable[[], str]] = {
    "signed by nobody (2.1)": lambda: by_hand({"alg": "none"}, claims()),
    "none, in other letters (2.1)": lambda: by_hand({"alg": "nOnE"}, claims()),
    "without a signature (2.1)": lambda: signed().rpartition(".")[0] + ".",
    "with another signature (2.1)": lambda: by_hand({"alg": "HS256"}, claims(), b"x" * 32),
    "with another text (2.1)": lambda: ".".join(
        [signed().split(".")[0], part(claims(sub="Bob")), signed().split(".")[2]]
    ),
    "with a longer digest (2.1)": lambda: jwt.encode(claims(), SECRET * 2, "HS512"),
    "signed with nothing (2.2)": lambda: by_hand({"alg": "HS256"}, claims(), b""),
    "encrypted (2.3)": lambda: signed() + ".a.b",
    "compressed (2.4)": lambda: by_hand({"alg": "HS256", "zip": "DEF"}, b"\x78\x9c"),
    "on another curve (2.5)": lambda: jwt.encode(claims(), P256, "ES256"),
    "in UTF-16 (2.6)": lambda: by_hand({"alg": "HS256"}, json.dumps(claims()).encode("utf-16")),
    "for another audience (2.7)": lambda: signed(claims(aud="shop")),
    "for a longer audience (2.7)": lambda: signed(claims(aud="chat.example")),
    "for nobody (2.7)": lambda: signed(claims(aud=None)),
    "of another kind (2.8)": lambda: signed(headers={"typ": "at+jwt"}),
    "with a path as kid (2.9)": lambda: signed(headers={"kid": "../../dev/null"}),
    "with a key of its own (2.9)": lambda: by_hand(
        {"alg": "HS256", "jwk": {"kty": "oct", "k": part(b"x" * 32)}}, claims(), b"x" * 32
    ),
    "with a key elsewhere (2.9)": lambda: by_hand(
        {"alg": "HS256", "jku": "https://evil.example/keys"}, claims(), b"x" * 32
    ),
    "with what must be understood (RFC 7515, 4.1.11)": lambda: by_hand(
        {"alg": "HS256", "crit": ["b64"], "b64": True}, claims()
    ),
    "over": lambda: signed(claims(exp=int(time.time()) - 1)),
    "not yet good": lambda: signed(claims(nbf=int(time.time()) + 60)),
    "made tomorrow": lambda: signed(claims(iat=int(time.time()) + 60)),
    "without an end": lambda: signed(claims(exp=None)),
    "without a beginning": lambda: signed(claims(iat=None)),
    "endless": lambda: by_hand({"alg": "HS256"}, {**claims(), "exp": float("inf")}),
    "at no time": lambda: by_hand({"alg": "HS256"}, {**claims(), "exp": float("nan")}),
    "for no one": lambda: signed(claims(sub=None)),
    "for no name": lambda: signed(claims(sub="a\nb")),
    "for a number": lambda: by_hand({"alg": "HS256"}, claims(sub=1)),
    "for the chat itself": lambda: signed(claims(sub="System")),
    "with a role that is none": lambda: signed(claims(role="king")),
    "with rooms that are none": lambda: signed(claims(rooms="lobby")),
    "a list": lambda: by_hand({"alg": "HS256"}, ["sub"]),
    "nested": lambda: by_hand(b'{"alg":' + b"[" * 3000, claims()),
    "a header that is a list": lambda: by_hand(["HS256"], claims()),
    "a kind that is a number": lambda: by_hand({"alg": "HS256", "typ": 1}, claims()),
    "a kid that is a list": lambda: by_hand({"alg": "HS256", "kid": ["a"]}, claims()),
    "too long": lambda: "a" * (MAX_TOKEN + 1),
    "no token": lambda: "…",
    "nothing": lambda: "",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_all_that_is_wrong_is_refused_alike_and_no_log_has_the_token(
    attack: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = ATTACKS[attack]()

    with caplog.at_level(logging.DEBUG):
        assert refused(token) == "This token is not good here."

    longest = max(token.split("."), key=len)
    assert not longest or longest not in caplog.text
    assert SECRET not in caplog.text


def test_a_public_key_is_no_secret(tmp_path: Path) -> None:
    keys = jwks(tmp_path / "keys", one=RSA)
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    refused(by_hand({"alg": "HS256", "kid": "one"}, claims(), public), keys)
    refused(by_hand({"alg": "HS256"}, claims(), public), keys)
    refused(signed(), keys)


@pytest.mark.parametrize(
    ("key", "algorithm"), [(ED25519, "EdDSA"), (P256, "ES256"), (RSA, "RS256")]
)
def test_a_key_is_good_for_its_own_algorithm(tmp_path: Path, key: Any, algorithm: str) -> None:
    keys = jwks(tmp_path / "keys", one=key, two=ed25519.Ed25519PrivateKey.generate())
    token = jwt.encode(claims(), key, algorithm, headers={"kid": "one"})

    assert Tokens(keys).check(token).name == "Ann"
    refused(jwt.encode(claims(), key, algorithm, headers={"kid": "two"}), keys)
    refused(jwt.encode(claims(), key, algorithm, headers={"kid": "three"}), keys)
    refused(jwt.encode(claims(), key, algorithm), keys)


def test_a_signature_of_zeros_is_none(tmp_path: Path) -> None:
    head = f"{part({'alg': 'ES256'})}.{part(claims())}"
    refused(f"{head}.{part(bytes(64))}", jwks(tmp_path / "keys", one=P256))


def test_another_algorithm_of_the_same_key_is_refused(tmp_path: Path) -> None:
    keys = jwks(tmp_path / "keys", one=RSA)

    refused(jwt.encode(claims(), RSA, "PS256"), keys)
    refused(jwt.encode(claims(), RSA, "RS512"), keys)


def test_keys_are_read_again_when_they_change(tmp_path: Path) -> None:
    token = jwt.encode(claims(), ED25519, "EdDSA")
    keys = jwks(tmp_path / "keys", one=ED25519)
    assert Tokens(keys).check(token).name == "Ann"

    jwks(tmp_path / "keys", one=P256)

    refused(token, keys)


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"keys": [1]}', '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AAAA"}]}'],
)
def test_what_is_no_key_is_said_to_the_operator(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content)

    with pytest.raises(StartError, match="keys"):
        PublicKeys(str(path)).find(None)


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "chat.db.secret"
    keys = SecretFile(str(path))
    refused(signed(), keys)
    keys.make()
    made = path.read_text()

    SecretFile(str(path)).make()

    assert path.read_text() == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["chat.db.secret"]
    assert Tokens(keys).check(issue("Ann", made.strip())).name == "Ann"


def test_a_secret_that_others_may_read_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "chat.db.secret"
    path.write_text(SECRET)
    path.chmod(0o644)

    refused(signed(), SecretFile(str(path)))

    assert "chmod 600" in caplog.text


def test_signatures_are_compared_in_a_time_that_tells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []
    genuine = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return genuine(one, other)

    monkeypatch.setattr("hmac.compare_digest", compare)
    TOKENS.check(signed())

    assert len(compared) == 1


def test_whom_a_connection_is_from_holds_as_long_as_its_token() -> None:
    access, now = Access(TOKENS), time.time()

    ann = Identity.of("Ann", until=now + 60)
    assert access.identify(None, ann) is ann
    with pytest.raises(Unauthorized):
        access.identify(None, Identity.of("Ann", until=now))
