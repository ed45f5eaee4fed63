"""What a server shows at /metrics, read as Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.chatserver.test_http import get


class Scraped:
    """One look at /metrics.

    Attributes:
        text: as it was answered.
        values: by name and labels.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        status, headers, self.text = get(address, "/metrics")
        assert status == 200
        assert headers["content-type"].startswith("text/plain; version=")
        self.values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of all figures of this name that have these labels."""
        return sum(
            value
            for (known, having), value in self.values.items()
            if known == name and having >= labels.items()
        )
