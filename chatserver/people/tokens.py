"""Tokens: signed JWTs (RFC 7519) that say who somebody is. They are made and checked here as the
best current practices have it (RFC 8725).

What is wrong with a token that is refused is told to nobody but the log, which never has the token.
"""

import logging
import math
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

import jwt
from jwt.utils import base64url_decode
from msgspec import Meta, Struct, ValidationError, convert

from chatserver.errors import BadRequest, StartError, Unauthorized
from chatserver.people.names import check_name
from chatserver.people.token_keys import SECRET_ALGORITHM, TokenKeys
from chatserver.people.token_terms import AUDIENCE, MIN_SECRET_BYTES, Role

DAY_SECONDS: Final = 24 * 60 * 60

TOKEN_DAYS: Final = 30.0
"""For how long a token is good unless its maker says otherwise."""

MAX_TOKEN: Final = 8192
"""Characters of a token: what fits in the head of a request."""

MAX_SUBJECT: Final = 256
"""Characters of a `sub`; a name has fewer, however it is spelled."""

MAX_TOKEN_ROOMS: Final = 100
"""Rooms that a token names."""

LEEWAY: Final = 10
"""Seconds by which the clock of who signs may be ahead of ours."""

CLAIMS: Final = ("sub", "aud", "iat", "exp")
"""What each token has."""

logger = logging.getLogger("chatserver")

Subject = Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT)]


class Identity(NamedTuple):
    """Whom a token is for.

    `subject` is its `sub` exactly as it stands; `name` is what is shown of it, `key` what that is
    compared by. `rooms` are the only ones for it; None: all. `issued` and `until` are in seconds
    since 1970.
    """

    subject: str
    name: str
    key: str
    role: Role
    rooms: tuple[str, ...] | None
    issued: float
    until: float

    @classmethod
    def of(
        cls,
        name: str,
        *,
        role: Role = "member",
        rooms: Sequence[str] | None = None,
        until: float = math.inf,
    ) -> "Identity":
        """Somebody of whom an application knows who it is.

        Args:
            name: whoever has it is the same person.
            role: `moderator` for the public rooms, `admin` for all of the chat.
            rooms: the names of the only rooms that it may enter.
            until: when its connections end, in seconds since 1970.

        Raises:
            BadRequest: nobody can have this name.
        """
        shown, key = check_name(name)
        only = None if rooms is None else tuple(rooms)
        return cls(name, shown, key, role, only, time.time(), until)

    def may_enter(self, room: str) -> bool:
        """Whether the token is for the room."""
        return self.rooms is None or room in self.rooms


class Claims(Struct, frozen=True):
    """What a token says, as far as the chat reads it."""

    sub: Subject
    iat: float
    exp: float
    role: Role = "member"
    rooms: Annotated[tuple[str, ...], Meta(max_length=MAX_TOKEN_ROOMS)] | None = None


class Tokens:
    """Who checks tokens."""

    def __init__(self, keys: TokenKeys | None, audience: str = AUDIENCE) -> None:
        """Without `keys` no token is good."""
        self._keys = keys
        self._audience = audience

    def check(self, token: str) -> Identity:
        """Whom it is for. Raises Unauthorized."""
        try:
            return self._identity(token)
        except StartError as error:
            # For the operator; who has come can do nothing about it.
            logger.error("Tokens cannot be checked: %s", error)
        except (jwt.PyJWTError, ValidationError, BadRequest, Refused) as error:
            logger.info("A token was refused: %s", reason_of(error))
        except (ValueError, OverflowError, RecursionError) as error:
            # What the library makes of numbers that are none, and of lists in lists.
            logger.info("A token was refused: %s", reason_of(error))
        raise unauthorized()

    def _identity(self, token: str) -> Identity:
        if self._keys is None:
            raise Refused("there are no keys")
        if len(token) > MAX_TOKEN or not token.isascii():
            raise Refused("it cannot be one")
        header = jwt.get_unverified_header(token)
        if "crit" in header or str(header.get("typ", "JWT")).upper() != "JWT":
            raise Refused("it is of another kind")
        if any(b"\0" in base64url_decode(part) for part in token.split(".")[:2]):
            raise Refused("it is no UTF-8")  # which the library would read, too
        found = self._keys.find(header.get("kid"))
        if found is None:
            raise Refused("its key is not known")
        key, algorithm = found
        said = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._audience,
            leeway=LEEWAY,
            options={"require": list(CLAIMS)},
        )
        claims = convert(said, Claims)
        if claims.exp <= time.time():  # no leeway to the end
            raise Refused("it is over")
        name = check_name(claims.sub, operator=True)
        rooms = claims.rooms
        return Identity(
            claims.sub, name.shown, name.key, claims.role, rooms, claims.iat, claims.exp
        )


class Refused(Exception):
    """Why a token is not good."""


def unauthorized() -> Unauthorized:
    """The same for whatever is wrong."""
    return Unauthorized("This token is not good here.")


def reason_of(error: Exception) -> str:
    """What a log may have of an error: no text of the library's, which might quote the token."""
    return str(error) if isinstance(error, Refused) else type(error).__name__


def issue(
    name: str,
    secret: str | bytes,
    *,
    days: float = TOKEN_DAYS,
    role: Role = "member",
    rooms: Sequence[str] | None = None,
    audience: str = AUDIENCE,
) -> str:
    """A token for somebody of this name, good from now on.

    Args:
        name: the `sub`: whoever shows this token is the same person, whatever else it says.
        secret: the server's `CHAT_SECRET`.
        days: how long it is good.
        role: `moderator` for the public rooms, `admin` for all of the chat.
        rooms: the names of the only rooms that it is for.
        audience: the server's `--token-audience`.

    Raises:
        BadRequest: nobody can have this name.
        ValueError: the secret is too short.
    """
    check_name(name)
    return sign(name, secret, days=days, role=role, rooms=rooms, audience=audience)


def sign(
    name: str,
    secret: str | bytes,
    *,
    days: float,
    role: Role,
    rooms: Sequence[str] | None = None,
    audience: str,
) -> str:
    """A token as `issue` has it, whether somebody can have the name or not: for the OPERATOR, too.
    Raises ValueError."""
    key = secret.encode() if isinstance(secret, str) else secret
    if len(key) < MIN_SECRET_BYTES:
        raise ValueError(f"The secret needs {MIN_SECRET_BYTES} bytes at least.")
    now = int(time.time())
    said: dict[str, Any] = {
        "sub": name,
        "aud": audience,
        "iat": now,
        "exp": now + round(days * DAY_SECONDS),
        "role": role,
    }
    if rooms is not None:
        said["rooms"] = list(rooms)
    return jwt.encode(said, key, SECRET_ALGORITHM)
