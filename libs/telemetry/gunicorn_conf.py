"""gunicorn's settings for any service (`gunicorn -c python:telemetry.gunicorn_conf APP`): one
worker with threads, JSON logs, metrics, drain; it never names a service."""

import os
import socket
import sys
from typing import Any, NoReturn

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from telemetry import exposition, logs
from telemetry.identity import Identity
from telemetry.settings import Settings, SettingsError
from telemetry.worker import DrainingWorker

_IDENTITY = Identity.from_environ(os.environ, default_service="unknown")
_CONFIG_ERROR = 2
_ONE_WORKER = (
    "must be 1, is {}: a second worker would split the metrics and lose exemplars; run more "
    "replicas, or more threads with --threads"
)


class JsonLogger(Logger):  # type: ignore[misc]
    """gunicorn's own messages as the same JSON lines; the middleware writes the request lines."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers = [logs.json_handler(_IDENTITY)]

    def join_root(self) -> None:
        """Lets an instrumented app's handler write, which also counts the lines."""
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

# From here on the names are gunicorn's: https://docs.gunicorn.org/en/stable/settings.html
bind = [f"{_SETTINGS.bind_address}:{_SETTINGS.port}"]
workers = 1
worker_class = DrainingWorker
threads = 8
# nginx closes an idle connection to a replica earlier (60 s): whoever closes first must be the one
# who sends, or a POST meets a closed connection.
keepalive = 75
graceful_timeout = 30  # from SIGTERM to SIGKILL of the worker, the notice included
timeout = 30
loglevel = _SETTINGS.log_level
accesslog = None
logger_class = JsonLogger
# The root file system is read-only and there is no home. The heartbeat file is in memory, or a slow
# disk looks like a stuck worker.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
control_socket_disable = True


def on_starting(server: Any) -> None:
    """In the parent, before the first fork: what can't work is refused here, with exit code 2."""
    problems = _problems(server.cfg)
    if problems:
        _refuse(problems)
    try:
        listener = exposition.listen(_SETTINGS.bind_address, _SETTINGS.metrics_port)
    except OSError as error:
        _refuse([f"METRICS_PORT: {_SETTINGS.metrics_port} can't be taken: {error.strerror}"])
    # The parent binds and a worker inherits: a worker that replaces a dead one never finds the
    # port taken.
    _metrics_listeners.append(listener)
    host, port = listener.getsockname()[:2]
    server.log.info("Metrics at: http://%s:%d/metrics", host, port)


def _problems(cfg: Any) -> list[str]:
    problems = []
    wanted = str(cfg.workers if cfg.workers != 1 else os.environ.get("WEB_CONCURRENCY") or 1)
    if wanted != "1":
        problems.append("workers " + _ONE_WORKER.format(wanted))
    if not issubclass(cfg.worker_class, DrainingWorker):
        problems.append("worker_class must be telemetry's, or a stop loses requests")
    if cfg.preload_app:
        problems.append("preload_app must be off: threads started by the app don't survive a fork")
    return problems


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
    """SIGTTIN asks for one more worker while the server runs."""
    if old_value is not None and new_value > 1:
        server.log.error("workers %s", _ONE_WORKER.format(new_value))
        server.num_workers = 1


def post_worker_init(worker: Any) -> None:
    telemetry = worker.telemetry()
    if telemetry is None:
        worker.log.critical("the app is not instrumented: call telemetry.instrument(app)")
        sys.exit(Arbiter.WORKER_BOOT_ERROR)  # gunicorn gives up instead of starting it again
    worker.log.join_root()
    telemetry.metrics.follow_worker(worker.cfg.threads, worker.outstanding)
    for listener in _metrics_listeners:
        exposition.serve(listener, telemetry.metrics.registry)


def worker_exit(_server: Any, worker: Any) -> None:
    telemetry = worker.telemetry()
    if telemetry is not None:
        telemetry.close()
