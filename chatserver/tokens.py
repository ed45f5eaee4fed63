"""Tokens for applications that know their users: `issue` signs who somebody is, and the chat takes
the token in `login(callback, {token})`.

    from chatserver.tokens import issue

    token = issue(current_user.name, app.config["CHAT_SECRET"], days=1)
"""

from chatserver.people.tokens import Role, issue

__all__ = ["Role", "issue"]
