"""Sends what is known of a deploy to whoever is configured: OTLP, a Pushgateway, Grafana, a folder; never fails one."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deploy.core.chronicle import Chronicle
from deploy.core.dora import deploy_metrics
from deploy.core.ports import Say
from deploy.core.spans import trace_of

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Receivers:
    """Where to: addresses, "" for none. `grafana_token` is a service account's."""

    traces: str = ""
    pushgateway: str = ""
    grafana: str = ""
    grafana_token: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str], *, pushgateway: str = "") -> Receivers:
        """Reads OpenTelemetry's own variables, PY_CICD_PUSHGATEWAY_URL, GRAFANA_URL and GRAFANA_TOKEN.

        https://opentelemetry.io/docs/specs/otel/protocol/exporter/
        """
        base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
        traces = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (
            f"{base}/v1/traces" if base else ""
        )
        return cls(
            traces=traces,
            pushgateway=environ.get("PY_CICD_PUSHGATEWAY_URL", pushgateway).rstrip("/"),
            grafana=environ.get("GRAFANA_URL", "").rstrip("/"),
            grafana_token=environ.get("GRAFANA_TOKEN", ""),
        )


@dataclass(frozen=True)
class Exports:
    """One call a deploy, once it has ended. A receiver that doesn't answer is told, and the others get theirs."""

    receivers: Receivers
    folder: Path
    say: Say

    def __call__(self, chronicle: Chronicle) -> None:
        """Sends the trace, the metrics and an annotation, and leaves the trace in the folder."""
        to, trace = self.receivers, json.dumps(trace_of(chronicle)).encode()
        name = f"{chronicle.environment}-{chronicle.service}-{chronicle.turn:06d}.otlp.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(trace)
        except OSError as error:
            self.say(f"the trace can't be left in {self.folder}: {error.strerror}")
        if to.traces:
            self._send("trace", to.traces, trace)
        if to.pushgateway:
            self.push(chronicle.service, chronicle.environment, "ship", deploy_metrics(chronicle))
        if to.grafana:
            body = json.dumps(annotation(chronicle)).encode()
            login = {"Authorization": f"Bearer {to.grafana_token}"} if to.grafana_token else {}
            self._send("annotation", f"{to.grafana}/api/annotations", body, headers=login)

    def push(self, service: str, environment: str, job: str, text: str) -> None:
        """Replaces a group of metrics: grouped by service and environment, never by run."""
        where = f"{self.receivers.pushgateway}/metrics/job/{job}/service/{service}"
        plain = {"Content-Type": "text/plain; version=0.0.4"}
        target = f"{where}/environment/{environment}"
        self._send("metrics", target, text.encode(), method="PUT", headers=plain)

    def _send(
        self,
        what: str,
        url: str,
        body: bytes,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        try:
            if not url.startswith(("http://", "https://")):
                raise ValueError("its address should start with http:// or https://")
            told = {"Content-Type": "application/json", **(headers or {})}
            asked = urllib.request.Request(url, body, told, method=method)  # noqa: S310
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
                answer.read()
        except urllib.error.HTTPError as error:
            with error:
                self.say(f"the {what} was refused by {url}: HTTP {error.code}")
        except (OSError, ValueError) as error:
            self.say(f"the {what} could not be sent to {url}: {error}")


def annotation(chronicle: Chronicle) -> dict[str, object]:
    """Makes Grafana's annotation: the deploy's own time, its release and how it ended.

    https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
    """
    begun = round(datetime.fromisoformat(chronicle.begun).timestamp() * 1000)
    why = f": {chronicle.why}" if chronicle.why else ""
    return {
        "time": begun,
        "timeEnd": begun + round(chronicle.seconds * 1000),
        "tags": ["deploy", chronicle.service, chronicle.environment, chronicle.outcome],
        "text": f"{chronicle.verb} {chronicle.release} {chronicle.outcome}{why}",
    }
