"""Metrics for Prometheus."""

from __future__ import annotations

import subprocess
import sys

from prometheus_client import CollectorRegistry

from capnweb_sync.observe.prometheus import MAX_METHODS, PrometheusObserver
from tests.capnweb_sync.loopback import Loopback
from tests.capnweb_sync.observe.test_observer import Api
from tests.processes import REPOSITORY


def test_connections_and_calls_are_counted() -> None:
    registry = CollectorRegistry()
    both = Loopback(Api(), observer=PrometheusObserver(registry))

    for name in ("add", "add", "fail", "refuse"):
        both.api[name](*([1, 2] if name == "add" else [])).exception()
    both.api.motto.result()
    both.pump()

    def calls(method: str, outcome: str) -> float | None:
        labels = {"direction": "in", "method": method, "outcome": outcome}
        return registry.get_sample_value("capnweb_calls_total", labels)

    assert registry.get_sample_value("capnweb_connections") == 1
    assert calls("add", "ok") == 2
    assert calls("other", "error") == 1
    assert calls("other", "refused") == 1
    assert calls("(property)", "ok") == 1
    labels = {"direction": "in", "method": "add"}
    assert registry.get_sample_value("capnweb_call_seconds_count", labels) == 2

    both.disconnect(1006)
    both.pump()

    assert registry.get_sample_value("capnweb_connections") == 0
    assert registry.get_sample_value("capnweb_connections_closed_total", {"code": "1006"}) == 1


def test_a_peer_cannot_make_up_labels() -> None:
    registry = CollectorRegistry()
    both = Loopback(Api(), observer=PrometheusObserver(registry))

    for number in range(MAX_METHODS + 10):
        both.api[f"made_up_{number}"]().exception()
        both.api[f"made_up_{number}"].result()
    both.pump()

    methods = {
        sample.labels["method"]
        for metric in registry.collect()
        for sample in metric.samples
        if "method" in sample.labels
    }
    assert methods == {"other", "(property)"}


def test_without_the_package_a_sentence_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None; "
        "import capnweb_sync.observe.prometheus"
    )

    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )

    assert finished.stderr.splitlines()[-1] == (
        "ImportError: Metrics for Prometheus need the package prometheus_client:"
        " pip install 'capnweb-chat[prometheus]'."
    )
