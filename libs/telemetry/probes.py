"""The routes `/livez`, `/readyz` and `/version`, which report on this process only."""

from flask import Flask, Response, jsonify

from telemetry.identity import Identity
from telemetry.lifecycle import Lifecycle

PROBE_ROUTES = frozenset({"/livez", "/readyz"})


def add_probes(app: Flask, identity: Identity, lifecycle: Lifecycle) -> None:
    def livez() -> Response:
        return _uncached(jsonify(status="alive"))

    def readyz() -> tuple[Response, int]:
        readiness = lifecycle.readiness()
        body = jsonify(status=readiness.status, waiting_for=readiness.waiting_for)
        return _uncached(body), 200 if readiness.ready else 503

    def version() -> Response:
        return _uncached(jsonify(identity.as_dict()))

    app.add_url_rule("/livez", "telemetry.livez", livez)
    app.add_url_rule("/readyz", "telemetry.readyz", readyz)
    app.add_url_rule("/version", "telemetry.version", version)


def _uncached(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
