"""Says why a replica fails: how it ended, what its application raised, its last health check and log lines."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from deploy.core.commands import docker
from deploy.core.commands.snapshot import inspected_documents, parse_inspected
from deploy.core.ports import Host
from deploy.core.reports.exceptions import (
    EXCEPTION,
    details_of,
    last_exception,
    shortened,
    shown_line,
)
from deploy.errors import ShipError

READ_LINES, SHOWN_LINES = 300, 10
"""How many log lines are searched for an exception, and how many are shown."""


def diagnosis(host: Host, container: str, what: str) -> str:
    """Returns what is wrong with a replica: how it ended and its last log line, then details, one per line."""
    cause, details = _inspect_failure(host, container)
    return "\n  ".join([f"{host.name}: {container} {what}{cause}", *details])


def with_details(reason: str, host: Host, names: Sequence[str]) -> str:
    """Returns a reason with the details of one of these replicas, preferably one that isn't ready.

    The first line has the exception that the application raised, if any, because ledgers keep only that line. Returns
    the reason alone if the replicas can't be inspected.
    """
    try:
        done = host.run(docker.inspect(names))
        found = parse_inspected(done.stdout)
        container = min(found, key=lambda c: (c.ready, -c.restarts), default=None)
        if container is None:
            return reason
        cause, details = _inspect_failure(host, container.name)
    except (ShipError, ValueError):
        return reason
    raised = next((line for line in details if line.startswith(EXCEPTION)), "")
    if raised:
        reason = f"{reason}; the application raised {raised.removeprefix(EXCEPTION)}"
    state = f"{host.name}: {container.name} is {container.condition}{cause}"
    return "\n  ".join([reason, state, *details])


def _inspect_failure(host: Host, container: str) -> tuple[str, list[str]]:
    """Returns how a container ended, such as ` (it exited with code 3 after 0.4 s): ValueError: no page`, and details.

    The first is "" if it runs. The details are the last health check, the last exception that it logged with the frames
    of the service's code, how it was started, and its last log lines.
    """
    done = host.run(docker.logs(container, tail=READ_LINES))
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    raised = last_exception(lines)
    log = [shown_line(line) for line in lines[-SHOWN_LINES:]]
    document = _inspected(host, container)
    shown = [f"log: {line}" for line in log]
    if document is None:
        return "", [*details_of(raised, ""), *shown]
    labels = document["Config"].get("Labels") or {}
    details = details_of(raised, labels.get("py-cicd.service", ""))
    if check := _health_check(document["State"]):
        details.insert(0, f"health check: {check}")
    if words := [word for word in (document.get("Path"), *(document.get("Args") or ())) if word]:
        details.append(f"started as: {shortened(shlex.join(words))}")
    cause = str(raised) if raised else log[-1] if log else ""
    return _end_of(document["State"], cause), [*details, *shown]


def _inspected(host: Host, container: str) -> dict[str, Any] | None:
    """Returns what the engine says about a container, None if there is none or that can't be read."""
    text = host.run(docker.inspect([container])).stdout or "[]"
    try:
        return next(iter(inspected_documents(text)), None)
    except ValueError:
        return None


def _end_of(state: Mapping[str, Any], cause: str) -> str:
    if state.get("OOMKilled"):
        return " (killed for exceeding its memory limit)"
    if not (code := state.get("ExitCode")):
        return ""
    try:
        ended = datetime.fromisoformat(state["FinishedAt"])
        after = (
            f" after {(ended - datetime.fromisoformat(state['StartedAt'])).total_seconds():.1f} s"
        )
    except (KeyError, ValueError):
        after = ""
    # A container that was started again has a later start.
    after = "" if after.startswith(" after -") else after
    return f" (it exited with code {code}{after}){f': {cause}' if cause else ''}"


def _health_check(state: Mapping[str, Any]) -> str:
    """Returns what the last health check printed, in words for the refusal that a service gets wrong most often."""
    checks = (state.get("Health") or {}).get("Log") or []
    lines = checks[-1].get("Output", "").strip().splitlines() if checks else []
    if lines and "connection refused" in lines[-1].lower():
        return f"nothing listens on the port that service.toml names ({lines[-1]})"
    return lines[-1] if lines else ""
