"""Recognises a replica that can't pass its health check or be verified, however long one waits.

docs/add-your-service.md has what a replica must answer. One that crashes, or answers 503 until it is ready, isn't
judged here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.core.commands import sockets
from deploy.core.commands.sockets import Listener
from deploy.core.ports import Answer, Clock, Host
from deploy.core.state.release import Release
from deploy.errors import UnhealthyError
from deploy.run.steps.diagnosis import diagnosis

CERTAIN_AFTER_S = 5.0
"""How long a replica must have been wrong in the same way: it may add routes and ports while it starts."""

SILENT_AFTER_S = 2.0
"""After which time without any answer to look at what listens instead. Most replicas answer sooner."""

PAGE = "docs/add-your-service.md"
HEALTHCHECK = "/usr/local/bin/healthcheck"


@dataclass
class ContractCheck:
    """Judges the replicas of a release by their answers to the health check and by what listens in them."""

    host: Host
    clock: Clock
    release: Release
    health_path: str
    _wrong: dict[str, tuple[str, float]] = field(default_factory=dict)

    def on_answer(self, name: str, answer: Answer) -> None:
        """Takes a replica's answer to its health check. Raises UnhealthyError if it has been wrong for too long."""
        if answer.status:
            self._judge(name, wrong_answer(answer, self.health_path))

    def on_silence(self, document: Mapping[str, Any]) -> None:
        """Takes a replica (of `docker inspect`) that answers nothing. Raises UnhealthyError if it never will."""
        if document["State"].get("Status") == "running" and (pid := document["State"].get("Pid")):
            found = sockets.parse_listeners(self.host.run(sockets.list_listeners(pid)).stdout)
            self._judge(document["Name"].lstrip("/"), wrong_port(found, self.release))

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
        now = self.clock.monotonic()
        before, since = self._wrong.get(name, ("", now))
        if wrong != before:
            since = now
        self._wrong[name] = (wrong, since)
        if wrong and now - since >= CERTAIN_AFTER_S:
            raise UnhealthyError(diagnosis(self.host, name, wrong))


def wrong_answer(answer: Answer, path: str) -> str:
    """Returns what is wrong with an answer to the health check that waiting doesn't help, "" for any other."""
    asked = f"its health check, GET {path}"
    match answer.status:
        case 404 | 405 | 410 | 501:
            return (
                f"answers {answer.status} to {asked}: call telemetry.instrument(app) after the last route, "
                f"or name a page that it has in [health] path of service.toml ({PAGE})"
            )
        case 301 | 302 | 303 | 307 | 308:
            where = answer.headers.get("location", "another page")
            return f"redirects {asked}, to {where}: only the status 200 counts as healthy ({PAGE})"
        case 400 | 401 | 403:
            return (
                f"refuses {asked}, with {answer.status}: it comes without a login and by the replica's address "
                f"instead of a host name ({PAGE})"
            )
        case _:
            return ""


def wrong_port(listeners: Sequence[Listener], release: Release) -> str:
    """Returns what is wrong with the ports that listen in a replica, "" if its own does or none."""
    others = [each for each in listeners if each.port != release.metrics_port]
    own = [each for each in others if each.port == release.port]
    if any(not each.is_private for each in own) or not others:
        return ""
    if own:
        return (
            f"listens on {own[0]} only, where the edge can't reach it: bind 0.0.0.0:{release.port}, as "
            f"`gunicorn -c python:telemetry.gunicorn_conf` does ({PAGE})"
        )
    return (
        f"listens on {', '.join(map(str, others))}, and not on port {release.port} of service.toml: bind "
        f"0.0.0.0:$PORT, as `gunicorn -c python:telemetry.gunicorn_conf` does, or set `port` ({PAGE})"
    )


def wrong_version(answer: Answer, path: str) -> str:
    """Returns what is wrong with an answer to `/version`, "" if it names a release or may do so soon."""
    if answer.status == 0 or answer.status >= 500:
        return ""
    try:
        document = json.loads(answer.body) if answer.status == 200 else None
    except ValueError:
        document = None
    if isinstance(document, dict) and "release" in document:
        return ""
    status = "no JSON with its release" if answer.status == 200 else str(answer.status)
    return (
        f"is healthy but answers {status} to GET {path}, by which the deploy recognises it: call "
        f"telemetry.instrument(app) after the last route ({PAGE})"
    )
