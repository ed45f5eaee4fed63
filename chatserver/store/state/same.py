"""Comparing what must not be guessed."""

import hmac


def same(secret: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(
        secret.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )
