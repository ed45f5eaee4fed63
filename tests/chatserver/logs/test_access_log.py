"""Nobody fills the disk by asking for pages."""

import re
from http.client import HTTPConnection

import pytest

from chatserver.logs import REQUEST_LINES
from chatserver.settings import Settings
from tests.conftest import StartServer
from tests.processes import wait_until


def test_an_address_has_so_many_lines_a_minute_and_others_theirs(
    start_server: StartServer,
) -> None:
    env = {"CHAT_LOG_LEVEL": "INFO", "CHAT_UNLIMITED_ADDRESSES": "", "CHAT_TRUST_PROXIES": "1"}
    server = start_server(env=env)

    def ask(times: int, client: str) -> None:
        connection = HTTPConnection(*server.address, timeout=20)
        for _ in range(times):
            connection.request("HEAD", "/healthz", headers={"X-Forwarded-For": client})
            connection.getresponse().read()
        connection.close()

    def lines() -> list[str]:
        return re.findall("Request .*address=(\\S+)", "\n".join(server.error_lines))

    ask(REQUEST_LINES + 50, "192.0.2.1")
    ask(1, "192.0.2.2")

    wait_until(lambda: "192.0.2.2" in lines())
    assert lines().count("192.0.2.1") == REQUEST_LINES


@pytest.mark.parametrize(
    ("host", "who"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::/64"),
        ("127.0.0.1", None),
        ("", None),
    ],
)
def test_an_address_is_whose_it_is(host: str, who: str | None) -> None:
    assert Settings().limited(host) == who
