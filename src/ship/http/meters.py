"""The service's metrics for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

PATHS = ("/", "/predict", "/explain", "/labels", "/health", "/ready", "/metrics", "/openapi.json")
OTHER_PATH = "other"  # any path that is not served: an unknown path must make no new series and not appear in the log


class Meters:
    """The metrics of one service, in a registry of their own."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "absa_requests", "Requests that were answered", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "absa_request_seconds",
            "From a request's head to the end of its answer",
            ("path",),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=self._registry,
        )
        self._texts = Counter("absa_texts", "Texts that the model was asked about", registry=self._registry)
        self._rejected = Counter(
            "absa_rejected", "Requests without an answer, by the code of the error", ("code",), registry=self._registry
        )
        self._queue = Gauge("absa_queue_texts", "Texts that wait for the model or are with it", registry=self._registry)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Call ``length`` for the queue's length whenever the metrics are read."""
        self._queue.set_function(length)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that has ended, and its seconds."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def answered(self, texts: int) -> None:
        """Count texts that the model has answered."""
        self._texts.inc(texts)

    def rejected(self, code: str) -> None:
        """Count a refused request by the error's code."""
        self._rejected.labels(code).inc()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
