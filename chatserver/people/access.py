"""Who is let in: those who show a token, and guests as far as the operator wants them."""

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from chatserver.errors import Unauthorized
from chatserver.people.token_terms import Guests, OpenRooms
from chatserver.people.tokens import Identity, Tokens, unauthorized

Authenticate = Callable[[Any], Identity | None]
"""What an application that knows its users says of a request of Flask's: who it is from, None for a
guest. It refuses by raising Unauthorized, or with Flask's `abort`."""

BEARER: Final = "bearer"
"""The scheme of a header with a token (RFC 6750, section 2.1)."""


class Access(NamedTuple):
    """How the operator wants it."""

    tokens: Tokens = Tokens(None)
    guests: Guests = "yes"
    open_rooms: OpenRooms = "everyone"
    authenticate: Authenticate | None = None

    def identify_request(self, request: Any) -> Identity | None:
        """Whom a request is from, by the application or the token in its head; None for a guest.
        Raises Unauthorized, and what the application raises."""
        if self.authenticate is not None:
            return self.authenticate(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        # Another scheme is for a proxy in front.
        return self.tokens.check(token.strip()) if scheme.lower() == BEARER else None

    def identify(self, token: str | None, known: Identity | None = None) -> Identity | None:
        """Whom a token is for, or who the connection is from; None for a guest. Raises
        Unauthorized."""
        if token is not None:
            return self.tokens.check(token)
        if known is not None:
            if known.until <= time.time():
                raise unauthorized()
            return known
        if self.guests == "no":
            raise Unauthorized("Only who has a token is let in: login(callback, {token}).")
        return None

    def may_make_rooms(self, identity: Identity | None) -> bool:
        """Whether somebody may make rooms; None: a guest."""
        if self.open_rooms == "everyone" or identity is None:
            return self.open_rooms == "everyone"
        return self.open_rooms == "accounts" or identity.role != "member"


EVERYBODY = Access()
"""Guests are let in, and no token is good."""
