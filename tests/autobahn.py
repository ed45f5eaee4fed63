"""Autobahn's test suite against a server that echoes; `scripts/run_autobahn.sh` starts it.

    python -m tests.autobahn PYTHON2 SUITE [cases…]

`PYTHON2` is a Python 2.7, `SUITE` the folder into which the package `autobahntestsuite` was
installed for it, a case is a number such as `6.4.1` or `6.*`.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from gevent import pywsgi  # noqa: E402

from capnweb_sync.server import Connections, WebSocketHandler, upgrade  # noqa: E402
from tests.capnweb_sync.server.example_app import EchoSession  # noqa: E402

CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
"""All but compression. Section 8 does not exist, and 11 was never written."""

LARGEST = 16 * 1024 * 1024
"""Bytes of the largest message, in cases 9.1.6 and 9.3."""

GOOD = ("OK", "INFORMATIONAL")
"""What the suite says of a case that passes; a few only report what the server does."""

UNSUPPORTED_DATA = 1003
"""How binary messages are refused, which Cap'n Web has none of."""

START = """
import site, sys
site.addsitedir(sys.argv.pop(1))
sys.argv[0] = "wstest"
from autobahntestsuite.wstest import run
run()
"""
"""Namespace packages need more than a place on the path, hence `site`."""


class Echo(EchoSession):
    """Sends every message back, and says nothing of the end."""

    __slots__ = ()

    def connection_lost(self, close_code: int | None, reason: str, /) -> None:
        """The suite notes it."""


def serve() -> pywsgi.WSGIServer:
    """An echoing server on a free port."""
    connections = Connections(
        max_message=LARGEST, max_buffered=4 * LARGEST, ping_interval=3600, ping_timeout=3600
    )

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        _, headers = upgrade(environ, connections, Echo)
        start_response("101 Switching Protocols", headers)
        return []

    server = pywsgi.WSGIServer(
        ("127.0.0.1", 0), application, handler_class=WebSocketHandler, log=None
    )
    server.start()
    return server


def judged(case: dict[str, Any]) -> str | None:
    """What is wrong with the result of a case; None if nothing is."""
    if case["behavior"] in GOOD and case["behaviorClose"] in GOOD:
        return None
    if case["remoteCloseCode"] == UNSUPPORTED_DATA:
        return None
    return f"{case['behavior']}, closing {case['behaviorClose']}, code {case['remoteCloseCode']}"


def main() -> int:
    """Run the suite and say what became of it."""
    python2, suite, *cases = sys.argv[1:]
    server = serve()
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "spec.json"
        spec.write_text(
            json.dumps(
                {
                    "outdir": folder,
                    "servers": [{"agent": "this", "url": f"ws://127.0.0.1:{server.server_port}/"}],
                    "cases": cases or CASES,
                    "exclude-cases": [],
                    "exclude-agent-cases": {},
                }
            )
        )
        command = [python2, "-c", START, suite, "-m", "fuzzingclient", "-s", str(spec)]
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
        results = json.loads((Path(folder) / "index.json").read_text())["this"]
    wrong = 0
    refused = 0
    for number in sorted(results, key=lambda number: [int(part) for part in number.split(".")]):
        problem = judged(results[number])
        refused += results[number]["behavior"] not in GOOD and problem is None
        if problem is not None:
            wrong += 1
            print(f"{number}: {problem}")
    print(
        f"{len(results)} cases: {len(results) - refused - wrong} OK, {refused} binary messages"
        f" refused with {UNSUPPORTED_DATA}, {wrong} wrong"
    )
    return 1 if wrong or not results else 0


if __name__ == "__main__":
    sys.exit(main())
