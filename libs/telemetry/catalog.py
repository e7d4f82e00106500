"""Defines every metric that a service exports: name, type, help, labels and buckets."""

from dataclasses import dataclass
from typing import Literal

# Seconds. The latency objective is 0.25 s, and can only be measured if a bucket ends there.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# Status classes instead of codes: there are few enough to create all series at start, so that rate()
# counts the very first error. The log line has the exact code.
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")


@dataclass(frozen=True)
class Metric:
    """Definition of a metric. Names end in the unit, those of counters in `_total`.

    Prometheus adds the labels `service`, `release`, `replica` and `host` from the target files that
    the deploy tool writes, so they are not listed here.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    unit: str | None = None
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
