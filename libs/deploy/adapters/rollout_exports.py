"""Exports a finished rollout: its trace (OTLP, a folder), metrics (Pushgateway) and annotations (Grafana).

A receiver that fails is reported and doesn't fail the rollout.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deploy.core.ports import Say
from deploy.core.reports.dora import (
    FourKeys,
    deploy_metrics,
    key_metrics,
)
from deploy.core.reports.rollout_log import RolloutLog
from deploy.core.reports.trace import trace_of
from deploy.errors import ShipError

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Receivers:
    """The addresses of the receivers, None for those that aren't configured. `grafana_token` is a service account's."""

    traces: str | None = None
    pushgateway: str | None = None
    grafana: str | None = None
    grafana_token: str | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str], *, pushgateway: str | None = None) -> Receivers:
        """Reads OpenTelemetry's standard variables, PY_CICD_PUSHGATEWAY_URL, GRAFANA_URL and GRAFANA_TOKEN.

        https://opentelemetry.io/docs/specs/otel/protocol/exporter/
        """
        base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
        traces = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (
            f"{base}/v1/traces" if base else ""
        )
        return cls(
            traces=traces or None,
            pushgateway=environ.get("PY_CICD_PUSHGATEWAY_URL", pushgateway or "").rstrip("/")
            or None,
            grafana=environ.get("GRAFANA_URL", "").rstrip("/") or None,
            grafana_token=environ.get("GRAFANA_TOKEN") or None,
        )


@dataclass(frozen=True)
class Exports:
    """Called once for each rollout, after its end.

    `keys` computes a service's four keys of DORA including this rollout; it may raise ShipError.
    """

    receivers: Receivers
    folder: Path
    say: Say
    keys: Callable[[str], FourKeys]

    def __call__(self, log: RolloutLog) -> None:
        """Writes the trace to the folder and sends trace, metrics, four keys and annotations to their receivers."""
        to, trace = self.receivers, json.dumps(trace_of(log)).encode()
        name = f"{log.environment}-{log.service}-{log.turn:06d}.otlp.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(trace)
        except OSError as error:
            self.say(f"the trace can't be written to {self.folder}: {error.strerror}")
        if to.traces:
            self._send("trace", to.traces, trace)
        if to.pushgateway:
            group = {"service": log.service, "environment": log.environment}
            self._push("ship", {**group, "verb": log.verb}, deploy_metrics(log))
            try:
                self.push_keys(log.service, log.environment, self.keys(log.service))
            except ShipError as error:
                self.say(f"the four keys of {log.service} can't be computed: {error.message}")
        if to.grafana:
            self._annotate(log)

    def _annotate(self, log: RolloutLog) -> None:
        token, where = self.receivers.grafana_token, f"{self.receivers.grafana}/api/annotations"
        login = {"Authorization": f"Bearer {token}"} if token else {}
        for annotation in grafana_annotations(log):
            body = json.dumps(annotation).encode()
            if not self._send("annotation", where, body, headers=login):
                return  # report a failing Grafana once, not once per phase

    def push_keys(self, service: str, environment: str, keys: FourKeys) -> None:
        """Replaces a service's four keys in the Pushgateway, if one is configured."""
        if self.receivers.pushgateway:
            text = key_metrics(service, environment, keys)
            self._push("ship-dora", {"service": service, "environment": environment}, text)

    def _push(self, job: str, group: Mapping[str, str], text: str) -> None:
        """Replaces a group of metrics. Groups differ by verb, so no verb replaces the metrics of another."""
        labels = "".join(f"/{name}/{value}" for name, value in group.items())
        target = f"{self.receivers.pushgateway}/metrics/job/{job}{labels}"
        content_type = {"Content-Type": "text/plain; version=0.0.4"}
        self._send("metrics", target, text.encode(), method="PUT", headers=content_type)

    def _send(
        self,
        what: str,
        url: str,
        body: bytes,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> bool:
        """Returns whether the receiver accepted it; reports why if it didn't."""
        try:
            if not url.startswith(("http://", "https://")):
                raise ValueError("its address should start with http:// or https://")
            headers = {"Content-Type": "application/json", **(headers or {})}
            request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
                response.read()
            return True
        except urllib.error.HTTPError as error:
            with error:
                self.say(f"{url} refused the {what}: HTTP {error.code}")
        except (OSError, ValueError) as error:
            self.say(f"the {what} can't be sent to {url}: {error}")
        return False


def grafana_annotations(log: RolloutLog) -> list[dict[str, object]]:
    """Returns Grafana annotations: one for the rollout with its release and outcome, and one for each phase.

    Dashboards filter by the first tag, `deploy` or `phase`.
    https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
    """
    zero = datetime.fromisoformat(log.begun).timestamp()
    why = f": {log.why}" if log.why else ""
    what = f"{log.verb} {log.release}"

    def one(kind: str, name: str, begun_s: float, ended_s: float, text: str) -> dict[str, object]:
        return {
            "time": round((zero + begun_s) * 1000),
            "timeEnd": round((zero + ended_s) * 1000),
            "tags": [kind, log.service, log.environment, name],
            "text": text,
        }

    ended = f"{what} {log.outcome}{why}"
    return [
        one("deploy", log.outcome, 0.0, log.seconds, ended),
        *(one("phase", name, begin, end, f"{what}: {name}") for name, begin, end in log.phases),
    ]
