"""The Flask application, and what stands behind it in one process."""

from collections.abc import Mapping
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from chatserver.people.access import Authenticate
from chatserver.service import EXTENSION, ChatService
from chatserver.settings import ENVIRONMENT_PREFIX, from_config


def create_app(
    config: Mapping[str, Any] | None = None, *, authenticate: Authenticate | None = None
) -> Flask:
    """Make the Flask application. It belongs to the process that calls this; a child forked
    afterwards cannot use it.

    Args:
        config: settings in capitals (`STORE`, `GRACE`), which win over the environment's
            (`CHAT_STORE`, `CHAT_GRACE`).
        authenticate: for an application that knows its users, see `chatserver.tokens`: gets Flask's
            request and returns who it is from, or None for a guest.

    Returns:
        The application, whose store is open.

    Raises:
        StartError: a setting does not fit, or the store cannot be opened; a sentence that says what
            to do.
    """
    from chatserver.page import pages
    from chatserver.routes import routes

    app = Flask("chatserver", static_folder=None)
    app.config.from_prefixed_env(ENVIRONMENT_PREFIX)
    app.config.from_mapping(config)
    settings = from_config(app.config)
    app.extensions[EXTENSION] = ChatService(settings, authenticate)
    app.register_blueprint(routes)
    app.register_blueprint(pages)
    proxies = settings.trust_proxies
    if proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # as Flask's documentation has it
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies, x_prefix=proxies
        )
    return app
