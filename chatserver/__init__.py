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


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The Flask application, see `chatserver.app.create_app`."""
    from chatserver.app import create_app as create

    return create(config)
