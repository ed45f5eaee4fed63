"""Who is let in: those who show a token, and guests as far as the operator wants them."""

from typing import Literal, NamedTuple

from chatserver.errors import Unauthorized
from chatserver.people.tokens import Identity, Tokens

Guests = Literal["yes", "no", "read"]
"""Whether who has no token may come in: `read` for looking at public rooms and saying nothing."""


class Access(NamedTuple):
    """How the operator wants it."""

    tokens: Tokens = Tokens(None)
    guests: Guests = "yes"

    def identify(self, token: str | None) -> Identity | None:
        """Whom a token is for; None for a guest, who has none. Raises Unauthorized."""
        if token is not None:
            return self.tokens.check(token)
        if self.guests == "no":
            raise Unauthorized("Only who has a token is let in: login(callback, {token}).")
        return None


EVERYBODY = Access()
"""Guests are let in, and no token is good."""
