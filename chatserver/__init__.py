"""The chat: a Flask application whose WebSocket route speaks Cap'n Web, and its stores.

Importing this package imports nothing else, so that gevent can patch the standard library first,
under `python -m chatserver` as under gunicorn.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from flask import Flask

    from chatserver.people.access import Authenticate


def create_app(
    config: Mapping[str, Any] | None = None, *, authenticate: Authenticate | None = None
) -> Flask:
    """Make the Flask application (`chatserver.app.create_app`), with everything that it imports.

    Args:
        config: settings in capitals (`STORE`, `GRACE`), which win over the environment's
            (`CHAT_STORE`, `CHAT_GRACE`).
        authenticate: for an application that knows its users, see `chatserver.tokens`: gets Flask's
            request and returns who it is from, or None for a guest.

    Returns:
        The application, whose store is open.

    Raises:
        StartError: a setting does not fit, or the store cannot be opened.
    """
    from chatserver.app import create_app as create

    return create(config, authenticate=authenticate)
