"""What a WSGI request says."""

from typing import Any

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import create_environ, run_wsgi_app
from werkzeug.wrappers import Response

from capnweb_sync.wsgi_requests import Environ, address_of


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({}, ("127.0.0.1", 5000)),
        ({"HTTP_X_FORWARDED_FOR": "192.0.2.7"}, ("192.0.2.7", 0)),
    ],
    ids=["the peer", "behind a proxy"],
)
def test_a_clients_address_has_no_port_of_its_proxy(
    headers: dict[str, str], address: tuple[str, int]
) -> None:
    seen: list[Environ] = []

    def application(environ: Environ, start_response: Any) -> Any:
        seen.append(environ)
        return Response()(environ, start_response)

    said = {"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "5000", **headers}
    run_wsgi_app(ProxyFix(application), {**create_environ(), **said})

    assert address_of(seen[0]) == address


def test_a_port_that_nobody_tells_is_0() -> None:
    assert address_of({"REMOTE_ADDR": "127.0.0.1"}) == ("127.0.0.1", 0)
    assert address_of({}) == ("", 0)
