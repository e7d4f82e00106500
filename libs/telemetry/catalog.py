"""The one table that names every metric; it holds no values and never records."""

from dataclasses import dataclass
from typing import Literal

# Seconds. 0.25 is the latency objective: a bucket must end there or the objective can't be read.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# A status is told by its class: few enough to create at start, so that a first error is an increase
# that rate() sees. The exact code stands in the log line.
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")


@dataclass(frozen=True)
class Metric:
    """One row. A name ends in its unit, a counter in `_total`. `service`, `release`, `replica` and
    `host` are no labels here: Prometheus adds them from the targets the deploy tool writes."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()


REQUESTS = Metric(
    "http_requests_total",
    "counter",
    "Requests answered, by route template, method and class of status.",
    labels=("route", "method", "status"),
)
REQUEST_DURATION = Metric(
    "http_request_duration_seconds",
    "histogram",
    "Time from a request's start in the worker to the last byte handed to the socket.",
    labels=("route", "method"),
    unit="seconds",
    buckets=LATENCY_BUCKETS,
)
IN_FLIGHT = Metric("http_requests_in_flight", "gauge", "Requests being answered now.")
THREADS = Metric("http_worker_threads", "gauge", "Threads that can answer requests.")
THREADS_BUSY = Metric("http_worker_threads_busy", "gauge", "Threads that hold a connection now.")
QUEUED = Metric(
    "http_worker_queued_connections",
    "gauge",
    "Connections with data that wait for a thread: above 0 the replica is saturated.",
)
READY = Metric("service_ready", "gauge", "1 while /readyz answers 200, else 0.")
BUILD = Metric(
    "service_build_info",
    "gauge",
    "Always 1; the labels say what runs.",
    labels=("version", "revision", "config_hash", "image", "python"),
)
LOG_RECORDS = Metric("log_records_total", "counter", "Log lines written.", labels=("level",))

CATALOG: tuple[Metric, ...] = (
    REQUESTS,
    REQUEST_DURATION,
    IN_FLIGHT,
    THREADS,
    THREADS_BUSY,
    QUEUED,
    READY,
    BUILD,
    LOG_RECORDS,
)
