"""Decides what to do next, from what `ship status --json` shows and from the state of the checkout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

type Service = Mapping[str, Any]
"""An element of the `services` of `ship status --json`."""


@dataclass(frozen=True)
class NextStep:
    """Something to do: why, and the command for it."""

    why: str
    command: str


def next_steps(
    services: Sequence[Service], *, revision: str, dirty: bool, sandbox: bool
) -> list[NextStep]:
    """Returns what to do, the most urgent first. If all is well, what one may try."""
    urgent = [*_unreachable(services, sandbox=sandbox)]
    for service in services:
        urgent += _of_service(service)
    if urgent:
        return urgent
    changed = [*_changed(services, revision, dirty=dirty)]
    return changed or [
        NextStep("everything runs as configured, from this checkout", f"./ship {verb}")
        for verb in ("status", "test")
    ]


def _unreachable(services: Sequence[Service], *, sandbox: bool) -> Iterator[NextStep]:
    problems = {
        host["name"]: host["problem"]
        for service in services
        for host in service["hosts"]
        if host["problem"]
    }
    for name, problem in problems.items():
        command = "./ship up" if sandbox else f"./ship host check {name}"
        yield NextStep(f"{name} can't be reached: {problem}", command)
        if sandbox:  # it brings up all of them
            return


def _of_service(service: Service) -> Iterator[NextStep]:
    name, hosts = service["name"], [host for host in service["hosts"] if not host["problem"]]
    if not hosts:
        return
    if lock := service["lock"]:
        who, since = lock.get("who", "somebody"), lock.get("since", "?")
        yield NextStep(f"{who} has been changing the hosts since {since}", f"./ship status {name}")
        return
    live = {host["release"] for host in hosts}
    if candidate := service["candidate"]:
        why = f"{name}: {candidate} is held, {service['release'] or 'nothing'} serves"
        yield NextStep(why, f"./ship promote {name} --release {candidate}")
        yield NextStep(f"{name}: or remove it", f"./ship abort {name} --release {candidate}")
    elif live == {None}:
        yield NextStep(f"{name}: nothing is live", f"./ship deploy {name}")
    elif len(live) > 1:
        why = f"{name}: hosts serve different releases, so a rollout was interrupted"
        yield NextStep(why, f"./ship deploy {name}")
    elif (ready := sum(host["ready"] for host in hosts)) < (
        wanted := sum(host["wanted"] for host in hosts)
    ):
        yield NextStep(f"{name}: {ready} of {wanted} replicas are ready", f"./ship logs {name}")
    elif service["drift"]:
        yield NextStep(f"{name}: {service['drift'][0]}", f"./ship plan {name}")
    if any(host["maintenance"] for host in hosts):
        yield NextStep(f"{name} is closed to its users", f"./ship maintenance off {name}")


def _changed(services: Sequence[Service], revision: str, *, dirty: bool) -> Iterator[NextStep]:
    for service in services:
        name, live = service["name"], service["revision"] or "unknown"
        if dirty:
            why = f"{name}: this checkout has changes that aren't committed"
        elif live != revision:
            why = f"{name}: live is {live[:7]}, this checkout is at {revision[:7]}"
        else:
            continue
        yield NextStep(f"{why}; see what a deploy would do", f"./ship plan {name}")
        yield NextStep(f"{name}: roll it out", f"./ship deploy {name}")
