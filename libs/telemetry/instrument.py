"""Instruments a Flask app with one call.

gunicorn's parent imports this module with its settings and serves no request, so what only the worker needs (Flask,
prometheus-client) is imported when an app is instrumented.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from telemetry import logs
from telemetry.identity import Identity
from telemetry.lifecycle import Lifecycle
from telemetry.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

    from telemetry.liveness import Progress
    from telemetry.metrics import ServiceMetrics
    from telemetry.traces import RequestTracer

_EXTENSION = "telemetry"


class Telemetry:
    """Telemetry of an instrumented app: identity, metrics, readiness conditions and the progress of its requests."""

    def __init__(
        self,
        identity: Identity,
        metrics: "ServiceMetrics",
        lifecycle: Lifecycle,
        tracer: "RequestTracer | None",
        progress: "Progress",
    ) -> None:
        self.identity = identity
        self.metrics = metrics
        self.lifecycle = lifecycle
        self.progress = progress
        self._tracer = tracer

    def ready_when(self, name: str, condition: Callable[[], bool]) -> None:
        """Makes `/readyz` answer 503 and list `name` until `condition` returns True.

        Every probe calls it, so it must not block.
        """
        self.lifecycle.ready_when(name, condition)

    def close(self) -> None:
        """Sends the remaining spans."""
        if self._tracer is not None:
            self._tracer.close()


def instrument(app: "Flask", *, environ: Mapping[str, str] | None = None) -> Telemetry:
    """Adds telemetry to `app`: metrics, JSON logs, traces if an OTLP endpoint is set, request ids, the
    headers `X-Release` and `X-Replica`, and the routes `/livez`, `/readyz` and `/version`.

    Call it after the last route is added, because it creates the metrics of all routes. `environ`
    defaults to os.environ. To serve the metrics, run gunicorn with `-c python:telemetry.gunicorn_conf`.
    Raises SettingsError if the environment is invalid.
    """
    from telemetry.liveness import Progress
    from telemetry.metrics import ServiceMetrics
    from telemetry.middleware import Middleware
    from telemetry.probes import add_probes

    environ = os.environ if environ is None else environ
    settings = Settings.from_environ(environ)
    identity = Identity.from_environ(environ, default_service=app.name.partition(".")[0])
    lifecycle = Lifecycle()
    add_probes(app, identity, lifecycle)
    metrics = ServiceMetrics(
        identity, environ.get("IMAGE", "unknown"), lambda: lifecycle.readiness().ready
    )
    metrics.prepare(_routes(app))
    logs.configure(identity, settings.log_level, metrics.count_log_record)
    tracer = _tracer(identity) if settings.traces_enabled else None
    progress = Progress()
    app.wsgi_app = Middleware(app.wsgi_app, identity, metrics, tracer, progress)  # type: ignore[method-assign]
    telemetry = Telemetry(identity, metrics, lifecycle, tracer, progress)
    app.extensions[_EXTENSION] = telemetry
    return telemetry


def telemetry_of(app: object) -> Telemetry | None:
    """Returns the telemetry of an instrumented app, None for any other app."""
    found = getattr(app, "extensions", {}).get(_EXTENSION)
    return found if isinstance(found, Telemetry) else None


def _routes(app: "Flask") -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):  # Flask answers OPTIONS itself
            yield rule.rule, method


def _tracer(identity: Identity) -> "RequestTracer":
    # Imported on demand: OpenTelemetry takes 0.2 s and 15 MB, and most replicas send no traces.
    from telemetry.traces import RequestTracer

    return RequestTracer(identity)
