"""Recognises replicas on a host that can't pass their health check or be verified, however long one waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.core.commands import sockets
from deploy.core.contract import PAGE, Certainty, wrong_answer, wrong_port, wrong_version
from deploy.core.ports import Answer, Clock, Host
from deploy.core.state.release import Release
from deploy.errors import UnhealthyError
from deploy.run.steps.diagnosis import diagnosis

HEALTHCHECK = "/usr/local/bin/healthcheck"


@dataclass
class ContractCheck:
    """Judges the replicas of a release by their answers to the health check and by what listens in them."""

    host: Host
    clock: Clock
    release: Release
    health_path: str
    _certainty: dict[str, Certainty] = field(default_factory=dict)

    def on_answer(self, name: str, answer: Answer) -> None:
        """Takes a replica's answer to its health check. Raises UnhealthyError if it has been wrong for too long."""
        if answer.status:
            self._judge(name, wrong_answer(answer, self.health_path))

    def on_silence(self, document: Mapping[str, Any]) -> None:
        """Takes a replica (of `docker inspect`) that answers nothing. Raises UnhealthyError if it never will."""
        if document["State"].get("Status") == "running" and (pid := document["State"].get("Pid")):
            found = sockets.parse_listeners(self.host.run(sockets.list_listeners(pid)).stdout)
            self._judge(
                document["Name"].lstrip("/"),
                wrong_port(found, self.release.port, self.release.metrics_port),
            )

    def on_engine_check(self, document: Mapping[str, Any]) -> None:
        """Takes a replica (of `docker inspect`). Raises UnhealthyError if its image lacks the health check."""
        checks = (document["State"].get("Health") or {}).get("Log") or [{}]
        output = checks[-1].get("Output", "")
        if HEALTHCHECK in output and ("no such file" in output or "not found" in output):
            what = f"has no {HEALTHCHECK} in its image: build it on the image of deploy/base/python ({PAGE})"
            raise UnhealthyError(diagnosis(self.host, document["Name"].lstrip("/"), what))

    def require_version(self) -> None:
        """Asks a healthy replica for its release, as the check through the edge does next.

        Raises UnhealthyError if it has no such page.
        """
        name, address = self.release.names[0], self.release.addresses[0]
        path = f"{self.release.route.path.rstrip('/')}/version"
        answer = self.host.fetch(self.release.port, path, address=address)
        if wrong := wrong_version(answer, path):
            raise UnhealthyError(diagnosis(self.host, name, wrong))

    def _judge(self, name: str, wrong: str) -> None:
        certainty = self._certainty.setdefault(name, Certainty())
        if certainty.reached(wrong, self.clock.monotonic()):
            raise UnhealthyError(diagnosis(self.host, name, wrong))
