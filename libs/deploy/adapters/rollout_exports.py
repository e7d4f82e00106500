"""Sends what is known of a deploy to whoever is configured: OTLP, a Pushgateway, Grafana, a folder; never fails one."""

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
    """One call a deploy, once it has ended. A receiver that doesn't answer is told, and the others get theirs.

    `keys` computes a service's four keys, with the deploy that has just ended; it may raise ShipError.
    """

    receivers: Receivers
    folder: Path
    say: Say
    keys: Callable[[str], FourKeys]

    def __call__(self, chronicle: RolloutLog) -> None:
        """Sends the trace, the metrics, the four keys and the annotations, and leaves the trace in the folder."""
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
            group = {"service": chronicle.service, "environment": chronicle.environment}
            self._push("ship", {**group, "verb": chronicle.verb}, deploy_metrics(chronicle))
            try:
                self.push_keys(
                    chronicle.service, chronicle.environment, self.keys(chronicle.service)
                )
            except ShipError as error:
                self.say(f"the four keys of {chronicle.service} can't be computed: {error.message}")
        if to.grafana:
            self._annotate(chronicle)

    def _annotate(self, chronicle: RolloutLog) -> None:
        token, where = self.receivers.grafana_token, f"{self.receivers.grafana}/api/annotations"
        login = {"Authorization": f"Bearer {token}"} if token else {}
        for each in marks(chronicle):
            # One that is down or refuses is asked once, not once a phase.
            if not self._send("annotation", where, json.dumps(each).encode(), headers=login):
                return

    def push_keys(self, service: str, environment: str, keys: FourKeys) -> None:
        """Replaces what the Pushgateway has of a service's four keys, if there is one."""
        if self.receivers.pushgateway:
            text = key_metrics(service, environment, keys)
            self._push("ship-dora", {"service": service, "environment": environment}, text)

    def _push(self, job: str, group: Mapping[str, str], text: str) -> None:
        """Replaces a group of metrics. A group is never one run's, and no verb replaces what another has told."""
        labels = "".join(f"/{name}/{value}" for name, value in group.items())
        target = f"{self.receivers.pushgateway}/metrics/job/{job}{labels}"
        plain = {"Content-Type": "text/plain; version=0.0.4"}
        self._send("metrics", target, text.encode(), method="PUT", headers=plain)

    def _send(
        self,
        what: str,
        url: str,
        body: bytes,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> bool:
        """Returns whether it was taken; if not, that is told."""
        try:
            if not url.startswith(("http://", "https://")):
                raise ValueError("its address should start with http:// or https://")
            told = {"Content-Type": "application/json", **(headers or {})}
            asked = urllib.request.Request(url, body, told, method=method)  # noqa: S310
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
                answer.read()
            return True
        except urllib.error.HTTPError as error:
            with error:
                self.say(f"the {what} was refused by {url}: HTTP {error.code}")
        except (OSError, ValueError) as error:
            self.say(f"the {what} could not be sent to {url}: {error}")
        return False


def marks(chronicle: RolloutLog) -> list[dict[str, object]]:
    """Makes Grafana's annotations: the deploy with its release and how it ended, and each of its phases.

    The first tag, `deploy` or `phase`, is what dashboards choose them by.
    https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
    """
    zero = datetime.fromisoformat(chronicle.begun).timestamp()
    why = f": {chronicle.why}" if chronicle.why else ""
    what = f"{chronicle.verb} {chronicle.release}"

    def one(kind: str, name: str, begun_s: float, ended_s: float, text: str) -> dict[str, object]:
        return {
            "time": round((zero + begun_s) * 1000),
            "timeEnd": round((zero + ended_s) * 1000),
            "tags": [kind, chronicle.service, chronicle.environment, name],
            "text": text,
        }

    ended = f"{what} {chronicle.outcome}{why}"
    return [
        one("deploy", chronicle.outcome, 0.0, chronicle.seconds, ended),
        *(
            one("phase", name, begin, end, f"{what}: {name}")
            for name, begin, end in chronicle.phases
        ),
    ]
