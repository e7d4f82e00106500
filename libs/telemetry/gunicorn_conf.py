"""gunicorn settings for any service: one worker with threads, JSON logs, metrics and a graceful drain.

Usage: `gunicorn -c python:telemetry.gunicorn_conf APP`
"""

import gc
import os
import socket
import sys
from typing import Any, NoReturn

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from telemetry import logs
from telemetry.identity import Identity
from telemetry.settings import Settings, SettingsError
from telemetry.worker import DrainingWorker

_IDENTITY = Identity.from_environ(os.environ, default_service="unknown")
_CONFIG_ERROR = 2
_METRICS_BACKLOG = 16
_ONE_WORKER = (
    "must be 1, is {}: a second worker would split the metrics and lose exemplars; run more "
    "replicas, or more threads with --threads"
)


class JsonLogger(Logger):  # type: ignore[misc]
    """Writes gunicorn's own messages as JSON lines. Request lines come from the middleware."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers = [logs.json_handler(_IDENTITY)]

    def join_root(self) -> None:
        """Passes messages to the instrumented app's handler, which also counts them."""
        self.error_log.handlers = []
        self.error_log.propagate = True


def _settings() -> Settings:
    try:
        return Settings.from_environ(os.environ)
    except SettingsError as error:
        _refuse(error.problems)


def _refuse(problems: list[str]) -> NoReturn:
    for problem in problems:
        print(f"configuration: {problem}", file=sys.stderr, flush=True)
    sys.exit(_CONFIG_ERROR)


_SETTINGS = _settings()
_metrics_listeners: list[socket.socket] = []

# gunicorn reads the names below: https://docs.gunicorn.org/en/stable/settings.html
bind = [f"{_SETTINGS.bind_address}:{_SETTINGS.port}"]
workers = 1
worker_class = DrainingWorker
threads = 8
# Longer than nginx keeps idle connections to a replica (60 s): if the replica closed one first, nginx
# could send a POST into it.
keepalive = 75
graceful_timeout = 30  # from SIGTERM to SIGKILL of the worker, including DRAIN_NOTICE_S
timeout = 30
loglevel = _SETTINGS.log_level
accesslog = None
logger_class = JsonLogger
# The root file system is read-only. The heartbeat file is in memory, because on a slow disk a late
# write would look like a stuck worker.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Runs in the parent before the first fork. Exits with code 2 if the configuration can't work."""
    problems = _problems(server.cfg)
    if problems:
        _refuse(problems)
    try:
        listener = socket.create_server(
            (_SETTINGS.bind_address, _SETTINGS.metrics_port), backlog=_METRICS_BACKLOG
        )
    except OSError as error:
        _refuse([f"METRICS_PORT: can't listen on {_SETTINGS.metrics_port}: {error.strerror}"])
    # The parent binds and its workers inherit the socket, so that a worker that replaces a dead one
    # can't find the port in use.
    _metrics_listeners.append(listener)
    host, port = listener.getsockname()[:2]
    server.log.info("Metrics at: http://%s:%d/metrics", host, port)


def _problems(cfg: Any) -> list[str]:
    problems = []
    count = str(cfg.workers if cfg.workers != 1 else os.environ.get("WEB_CONCURRENCY") or 1)
    if count != "1":
        problems.append("workers " + _ONE_WORKER.format(count))
    if not issubclass(cfg.worker_class, DrainingWorker):
        problems.append(
            "worker_class must be telemetry's DrainingWorker, others lose requests when they stop"
        )
    if cfg.preload_app:
        problems.append("preload_app must be off: threads that the app starts don't survive a fork")
    return problems


def pre_fork(_server: Any, _worker: Any) -> None:
    """Excludes the parent's objects from collections, which would copy their shared pages to the worker."""
    gc.freeze()


def post_fork(_server: Any, _worker: Any) -> None:
    """Turns the collector off until the app is loaded, because loading creates almost no garbage."""
    gc.disable()


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
    """Undoes SIGTTIN, which requests one more worker from a running server."""
    if old_value is not None and new_value > 1:
        server.log.error("workers %s", _ONE_WORKER.format(new_value))
        server.num_workers = 1


def post_worker_init(worker: Any) -> None:
    # In the worker alone: the parent answers no scrape.
    from telemetry import exposition
    from telemetry.liveness import Liveness

    telemetry = worker.telemetry()
    if telemetry is None:
        worker.log.critical("the app is not instrumented: call telemetry.instrument(app)")
        sys.exit(Arbiter.WORKER_BOOT_ERROR)  # gunicorn gives up instead of starting it again
    worker.log.join_root()
    telemetry.metrics.follow_worker(worker.cfg.threads, worker.outstanding)
    liveness = Liveness(
        telemetry.progress, worker.cfg.threads, worker.outstanding, _SETTINGS.hung_after_s
    )
    for listener in _metrics_listeners:
        exposition.serve(listener, telemetry.metrics.registry, liveness.problem)
    gc.freeze()  # what the start created stays, so collections need not look at it
    gc.enable()


def worker_exit(_server: Any, worker: Any) -> None:
    telemetry = worker.telemetry()
    if telemetry is not None:
        telemetry.close()
