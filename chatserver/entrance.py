"""Who is let in, as the settings say."""

from chatserver.people.access import Access, Authenticate
from chatserver.people.token_keys import PublicKeys, SecretFile, SharedSecret, TokenKeys
from chatserver.people.tokens import Tokens
from chatserver.settings import Settings
from chatserver.store import secret_file


def access_of(settings: Settings, authenticate: Authenticate | None = None) -> Access:
    """Who is let in; `authenticate` says who a request is from. Raises StartError."""
    tokens = Tokens(keys_of(settings), settings.token_audience)
    return Access(tokens, settings.guests, settings.open_rooms, authenticate)


def keys_of(settings: Settings) -> TokenKeys | None:
    """What tokens are checked with; None: no token is good. Raises StartError."""
    if settings.token_keys is not None:
        keys = PublicKeys(settings.token_keys)
        keys.find(None)  # what is wrong with them is said at the start
        return keys
    if settings.secret is not None:
        return SharedSecret(settings.secret)
    path = secret_file(settings.store)
    return None if path is None else SecretFile(path)
