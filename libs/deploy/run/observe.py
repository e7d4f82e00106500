"""Looks at hosts: one snapshot each, side by side; never changes anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from deploy.core import commands
from deploy.core.edge import parse_edge
from deploy.core.holds import parse_hold
from deploy.core.ledger import parse_ledger
from deploy.core.observed import Container, Observed, release_named
from deploy.core.ports import Host
from deploy.core.releases import ID, Release, parse_release
from deploy.errors import CommandError, ShipError, UsageError
from deploy.run.fanout import on_every
from deploy.run.guard import last_line


def observe(hosts: Sequence[Host]) -> tuple[Observed, ...]:
    """Returns a snapshot of every host, in order. Raises HostUnreachableError, CommandError that name all that fail."""
    return on_every(hosts, look)


def observe_what_answers(hosts: Sequence[Host]) -> tuple[Observed, ...]:
    """As `observe`, but a host that can't be looked at is a snapshot with its problem."""
    return on_every(hosts, _try_look)


def _try_look(host: Host) -> Observed:
    try:
        return look(host)
    except ShipError as error:
        return Observed(host.name, problem=error.message)


def live_release(service: str, seen: tuple[Observed, ...]) -> Release:
    """Returns the record of what is live. Raises UsageError where that isn't one release on all hosts."""
    live = {host.edge.live(service) for host in seen}
    found = release_named(service, next(iter(live)), seen) if len(live) == 1 else None
    if found is None:
        told = ", ".join(sorted(live - {""})) or "nothing"
        raise UsageError(
            f"{service}: {told} is live, where one release on all hosts was needed",
            hint=f"./ship deploy {service}",
        )
    return found


def look(host: Host) -> Observed:
    """Returns one host's snapshot."""
    done = host.run(commands.look(), timeout_s=60)
    if done.code != 0:
        raise CommandError(
            f"{host.name}: its Docker engine doesn't answer: {last_line(done)}",
            hint="start the engine on that host and run this again; what ran there is as it was",
        )
    return parse_look(host.name, done.stdout)


def parse_look(name: str, text: str) -> Observed:
    """Reads the snapshot that the look printed, a line a fact."""
    facts: dict[str, list[str]] = {}
    # Not splitlines(): what a container was told may hold characters that end a line for Python alone.
    for line in text.split("\n"):
        key, _, value = line.partition(" ")
        facts.setdefault(key, []).append(value)
    inspected = [json.loads(each) for each in facts.get("container", [])]
    return Observed(
        host=name,
        engine_version=_one(facts, "engine"),
        compose_version=_one(facts, "compose").removeprefix("v"),
        disk_free_bytes=int(_one(facts, "disk") or 0),
        network="network" in facts,
        images=frozenset(facts.get("image", [])),
        containers=tuple(container_of(each) for each in inspected if _is_replica(each)),
        releases=tuple(_releases(facts.get("release", []))),
        edge=parse_edge(_one(facts, "routes")),
        parts=tuple(_parts(inspected, running=True)),
        stopped_parts=tuple(_parts(inspected, running=False)),
        targets=tuple(_targets(facts.get("targets", []))),
        ledger=parse_ledger("\n".join(facts.get("ledger", []))),
        holds=tuple(hold for line in facts.get("hold", []) if (hold := parse_hold(line))),
        now_s=float(_one(facts, "now") or 0),
        listening=frozenset(_ports(facts.get("socket", []))),
    )


def _is_replica(inspected: dict[str, Any]) -> bool:
    return ID.fullmatch(_labels(inspected).get("py-cicd.release", "")) is not None


def container_of(inspected: dict[str, Any]) -> Container:
    """Reads one element of `docker inspect`."""
    labels, state = _labels(inspected), inspected["State"]
    networks = inspected.get("NetworkSettings", {}).get("Networks", {})
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        service=labels.get("py-cicd.service", ""),
        release=labels.get("py-cicd.release", ""),
        replica=labels.get("py-cicd.name", ""),
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        address=networks.get(commands.NETWORK, {}).get("IPAddress", ""),
        restarts=inspected.get("RestartCount", 0),
    )


def _labels(inspected: dict[str, Any]) -> dict[str, str]:
    return inspected["Config"].get("Labels") or {}


def _one(facts: dict[str, list[str]], key: str) -> str:
    return facts.get(key, [""])[0].strip()


def _releases(lines: Iterable[str]) -> Iterable[Release]:
    for line in lines:
        try:
            yield parse_release(line)
        except ValueError:
            continue  # a record of a newer tool, or none at all: the planner knows what it can read


def _parts(inspected: Iterable[dict[str, Any]], *, running: bool) -> Iterable[tuple[str, str]]:
    for each in inspected:
        labels = _labels(each)
        if "py-cicd.key" in labels and (each["State"]["Status"] == "running") is running:
            yield labels["py-cicd.name"], labels["py-cicd.key"]


def _ports(lines: Iterable[str]) -> Iterable[int]:
    """Reads lines of /proc/net/tcp: number, local address and port in hexadecimal digits, and more."""
    for line in lines:
        words = line.split()
        if len(words) > 1:
            yield int(words[1].rpartition(":")[2], 16)


def _targets(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Reads sha256sum's lines: digest, two spaces, file."""
    for line in lines:
        digest, _, file = line.partition("  ")
        yield file.removesuffix(".json"), digest
