"""Tokens for applications that know their users: `issue` signs who somebody is, and the chat takes
the token in `login(callback, {token})`.

    from chatserver.tokens import issue

    token = issue(current_user.name, app.config["CHAT_SECRET"], days=1)

One that has the chat within it needs no token: it tells who a request is from.

    from chatserver.tokens import Identity

    def authenticate(request):
        user = user_of(request)  # by the session's cookie, say
        return Identity.of(user.name) if user else None  # None: a guest

    app = create_app(authenticate=authenticate)
"""

from chatserver.people.token_terms import Role
from chatserver.people.tokens import Identity, issue

__all__ = ["Identity", "Role", "issue"]
