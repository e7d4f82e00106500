"""The one call that instruments a Flask app; it starts no listener and no process."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from flask import Flask

from telemetry import logs
from telemetry.identity import Identity
from telemetry.lifecycle import Lifecycle
from telemetry.metrics import ServiceMetrics
from telemetry.middleware import Middleware
from telemetry.probes import add_probes
from telemetry.settings import Settings

if TYPE_CHECKING:
    from telemetry.traces import RequestTracer

_EXTENSION = "telemetry"


class Telemetry:
    """What an app gets back: its identity, its metrics, and a say in when it is ready."""

    def __init__(
        self,
        identity: Identity,
        metrics: ServiceMetrics,
        lifecycle: Lifecycle,
        tracer: "RequestTracer | None",
    ) -> None:
        self.identity = identity
        self.metrics = metrics
        self.lifecycle = lifecycle
        self._tracer = tracer

    def ready_when(self, name: str, condition: Callable[[], bool]) -> None:
        """`/readyz` answers 503 and names `name` until `condition` holds; it is asked on every
        probe, so it must not block."""
        self.lifecycle.ready_when(name, condition)

    def close(self) -> None:
        """Sends the spans that are left."""
        if self._tracer is not None:
            self._tracer.close()


def instrument(app: Flask, *, environ: Mapping[str, str] | None = None) -> Telemetry:
    """Gives `app` metrics, JSON logs, traces if an endpoint is set, request ids, `X-Release` and
    `X-Replica`, `/livez`, `/readyz` and `/version`. Call it after the last route was added: the
    label sets of all routes are created here. `environ` is the process's own unless given; raises
    SettingsError. gunicorn with `-c python:telemetry.gunicorn_conf` serves the metrics."""
    environ = os.environ if environ is None else environ
    settings = Settings.from_environ(environ)
    identity = Identity.from_environ(environ, default_service=app.name.partition(".")[0])
    lifecycle = Lifecycle()
    add_probes(app, identity, lifecycle)
    metrics = ServiceMetrics(
        identity, environ.get("IMAGE", "unknown"), lambda: lifecycle.judge().ready
    )
    metrics.prepare(_routes(app))
    logs.configure(identity, settings.log_level, metrics.count_log_record)
    tracer = _tracer(identity) if settings.traces_wanted else None
    app.wsgi_app = Middleware(app.wsgi_app, identity, metrics, tracer)  # type: ignore[method-assign]
    telemetry = Telemetry(identity, metrics, lifecycle, tracer)
    app.extensions[_EXTENSION] = telemetry
    return telemetry


def telemetry_of(app: object) -> Telemetry | None:
    """The telemetry of an instrumented app, None for any other."""
    found = getattr(app, "extensions", {}).get(_EXTENSION)
    return found if isinstance(found, Telemetry) else None


def _routes(app: Flask) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):  # Flask answers that itself
            yield rule.rule, method


def _tracer(identity: Identity) -> "RequestTracer":
    # Imported here: OpenTelemetry costs 0.2 s and 15 MB, and most replicas never need it.
    from telemetry.traces import RequestTracer

    return RequestTracer(identity)
