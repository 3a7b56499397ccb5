"""What the service counts, as Prometheus reads it."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

PATHS = ("/", "/predict", "/explain", "/labels", "/health", "/ready", "/metrics", "/openapi.json")
OTHER = "other"  # any path that is not served: what strangers ask for makes no new series, and no line of the log


class Meters:
    """The counters of one service."""

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
        """Ask ``length`` for the queue's length whenever somebody reads."""
        self._queue.set_function(length)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request ended."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def answered(self) -> None:
        """The model answered a text."""
        self._texts.inc()

    def rejected(self, code: str) -> None:
        """A request was refused."""
        self._rejected.labels(code).inc()

    def exposition(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
