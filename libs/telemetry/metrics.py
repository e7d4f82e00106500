"""Creates the metrics of the catalog and records requests in them."""

import platform
from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.identity import Identity

# `_created` samples would double the exposition, and Prometheus 3.5 doesn't use them.
disable_created_metrics()  # type: ignore[no-untyped-call]

UNMATCHED = "unmatched"  # the route label of requests that match no rule
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER_METHOD = "other"


class RouteRecorder:
    """Counters and histogram of one route and method. Caches them, since a label lookup costs as much as
    an increment."""

    __slots__ = ("_by_class", "_duration")

    def __init__(self, requests: Counter, duration: Histogram, route: str, method: str) -> None:
        self._duration = duration.labels(route, method)
        self._by_class = {
            status[0]: requests.labels(route, method, status) for status in catalog.STATUS_CLASSES
        }

    def record(self, status: str, seconds: float, trace_id: str) -> None:
        """Records one request. `status` is a WSGI status line or code; 1xx counts as 2xx."""
        counter = self._by_class.get(status[0]) or self._by_class["2"]
        counter.inc()
        self._duration.observe(seconds, {"trace_id": trace_id})


class ServiceMetrics:
    """All metrics of one app, in their own registry."""

    def __init__(self, identity: Identity, image: str, ready: Callable[[], bool]) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = self.counter(catalog.REQUESTS)
        self._duration = self.histogram(catalog.REQUEST_DURATION)
        self.in_flight = self.gauge(catalog.IN_FLIGHT)
        self._recorders: dict[tuple[str, str], RouteRecorder] = {}
        self.gauge(catalog.READY).set_function(lambda: float(ready()))
        self._log_records = self.counter(catalog.LOG_RECORDS)
        for level in ("debug", "info", "warning", "error", "critical"):
            self._log_records.labels(level)
        self.gauge(catalog.BUILD).labels(
            identity.release,
            identity.revision,
            identity.config_hash,
            image,
            platform.python_version(),
        ).set(1)

    def counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=self.registry)

    def gauge(self, metric: Metric) -> Gauge:
        return Gauge(metric.name, metric.help, metric.labels, registry=self.registry)

    def histogram(self, metric: Metric) -> Histogram:
        return Histogram(
            metric.name, metric.help, metric.labels, registry=self.registry, buckets=metric.buckets
        )

    def prepare(self, routes: Iterable[tuple[str, str]]) -> None:
        """Creates the series of these (route template, method) pairs at zero."""
        for route, method in routes:
            self.recorder(route, method)
        for method in ("GET", "HEAD", "POST"):
            self.recorder(UNMATCHED, method)

    def recorder(self, route: str, method: str) -> RouteRecorder:
        if method not in _METHODS:
            method = _OTHER_METHOD  # clients can send any method, but label values must stay few
        key = (route, method)
        recorder = self._recorders.get(key)
        if recorder is None:
            recorder = RouteRecorder(self._requests, self._duration, route, method)
            self._recorders[key] = recorder
        return recorder

    def count_log_record(self, level: str) -> None:
        self._log_records.labels(level.lower()).inc()

    def follow_worker(self, threads: int, outstanding: Callable[[], int]) -> None:
        """Exports the worker's thread metrics. `outstanding` returns how many connections occupy a thread or
        wait for one."""
        self.gauge(catalog.THREADS).set(threads)
        self.gauge(catalog.THREADS_BUSY).set_function(lambda: min(outstanding(), threads))
        self.gauge(catalog.QUEUED).set_function(lambda: max(outstanding() - threads, 0))
