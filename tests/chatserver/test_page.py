"""How the page is served: who gets it, under what policy, and how often."""

from __future__ import annotations

import gzip
import re
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.chatserver.test_http import FORWARDED
from tests.conftest import StartProcess, StartServer
from tests.processes import ServerProcess, free_port

BROWSER = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
}

needs_modules = pytest.mark.skipif(
    not Path(f"{sys.prefix}.web").is_dir(),
    reason="the page's modules are missing; scripts/run_tests.sh gets them",
)

Answer = tuple[int, dict[str, str], bytes]


def get(address: tuple[str, int], path: str, headers: dict[str, str] | None = None) -> Answer:
    connection = HTTPConnection(*address, timeout=20)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return (
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
    finally:
        connection.close()


def page(
    server: ServerProcess, headers: dict[str, str] | None = None
) -> tuple[dict[str, str], str]:
    status, answered, body = get(server.address, "/", BROWSER | (headers or {}))
    assert status == 200
    return answered, gzip.decompress(body).decode()


@needs_modules
def test_a_browser_gets_the_page_and_others_get_text(shared_server: ServerProcess) -> None:
    headers, html = page(shared_server)

    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "<!doctype html>" in html
    assert {"Accept", "Accept-Encoding"} <= set(re.split(", *", headers["vary"]))
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "text/plain"}):
        _, headers, body = get(shared_server.address, "/", accept)
        assert headers["content-type"] == "text/plain; charset=utf-8"
        assert headers["vary"] == "Accept"
        assert b"newWebSocketRpcSession" in body


@needs_modules
def test_the_policy_is_strict(shared_server: ServerProcess) -> None:
    headers, html = page(shared_server)

    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    host, port = shared_server.address
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == f"'self' ws://{host}:{port}"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["trusted-types"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in headers
    # The import map is the only script within the page.
    assert len(re.findall(r"<script(?![^>]*\bsrc=)", html)) == 1
    assert "style=" not in html


@needs_modules
def test_a_host_that_is_none_does_not_get_into_the_policy(shared_server: ServerProcess) -> None:
    headers, _ = page(shared_server, {"Host": "evil.example;script-src*"})

    assert "evil" not in headers["content-security-policy"]


@needs_modules
def test_behind_a_proxy_the_policy_names_what_the_browser_sees(start_server: StartServer) -> None:
    server = start_server("--trust-proxies", "1")

    headers, _ = page(server, FORWARDED)

    assert "connect-src 'self' wss://chat.example;" in headers["content-security-policy"]


@needs_modules
def test_every_file_is_named_after_its_content_and_kept_for_ever(
    shared_server: ServerProcess,
) -> None:
    _, html = page(shared_server)
    files = set(re.findall(r"\./(web/[^\"]+\.[0-9a-f]{16}\.\w+)", html))
    assert len(files) > 20

    for file in files:
        status, headers, packed = get(shared_server.address, f"/{file}", BROWSER)
        assert status == 200
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
        assert headers["content-encoding"] == "gzip"
        assert headers["x-content-type-options"] == "nosniff"
        _, plain_headers, plain = get(shared_server.address, f"/{file}")
        assert gzip.decompress(packed) == plain
        assert plain_headers["etag"] != headers["etag"]

    assert get(shared_server.address, "/web/main.js")[0] == 404
    for file in ("web/../page.py", "web/package.json", "web/index.html"):
        assert get(shared_server.address, f"/{file}")[0] == 404


@needs_modules
def test_what_a_browser_has_is_not_sent_again(shared_server: ServerProcess) -> None:
    headers, _ = page(shared_server)

    status, again, body = get(
        shared_server.address, "/", BROWSER | {"If-None-Match": headers["etag"]}
    )

    assert (status, body) == (304, b"")
    assert again["content-security-policy"] == headers["content-security-policy"]


WITHOUT_MODULES = """
import sys
sys.prefix = "/nowhere"
from chatserver.__main__ import main
main(["--port", "{port}", "--store", "memory:"])
"""


def test_without_the_modules_one_sentence_says_what_to_run(start_process: StartProcess) -> None:
    port = free_port()
    program = WITHOUT_MODULES.replace("{port}", str(port))
    start_process(sys.executable, "-c", program, ready=ServerProcess.BANNER)

    status, headers, body = get(("127.0.0.1", port), "/", BROWSER)

    assert status == 503
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert b"scripts/run_server.sh" in body
    assert get(("127.0.0.1", port), "/web/main.js")[0] == 404
    assert get(("127.0.0.1", port), "/")[0] == 200
    assert get(("127.0.0.1", port), "/healthz")[0] == 200
