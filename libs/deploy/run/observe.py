"""Looks at hosts: one snapshot each, side by side; never changes anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deploy.core import commands
from deploy.core.edge import parse_edge
from deploy.core.ledger import parse_ledger
from deploy.core.observed import Container, Observed
from deploy.core.ports import Host
from deploy.core.releases import Release, parse_release
from deploy.errors import CommandError, HostUnreachableError
from deploy.run.guard import last_line

_LOOK = """
docker version --format 'engine {{.Server.Version}}' || exit 1
printf 'compose %s\\n' "$(docker compose version --short)"
printf 'disk %s\\n' "$(df --output=avail --block-size=1 "$(docker info --format '{{.DockerRootDir}}')" 2>/dev/null | tail -n 1 || df --output=avail --block-size=1 / | tail -n 1)"
docker network inspect py-cicd --format 'network {{.Name}}' 2>/dev/null
docker image ls --digests --format 'image {{.Repository}}@{{.Digest}}'
docker ps --all --quiet --filter label=py-cicd.name | xargs -r docker inspect --format 'container {{json .}}'
cat "$1"/services/*/releases/*/release.json 2>/dev/null | sed 's/^/release /'
cat "$1"/edge/conf/routes.conf 2>/dev/null | sed -n '1s/^/routes /p'
cat "$1"/ledger.jsonl 2>/dev/null | sed 's/^/ledger /'
true
"""


def observe(hosts: Sequence[Host]) -> tuple[Observed, ...]:
    """Returns a snapshot of every host, in order. Raises HostUnreachableError, CommandError of the first."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        return tuple(pool.map(look, hosts))


def observe_what_answers(hosts: Sequence[Host]) -> tuple[Observed, ...]:
    """As `observe`, but a host that can't be looked at is a snapshot with its problem."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        return tuple(pool.map(_try_look, hosts))


def _try_look(host: Host) -> Observed:
    try:
        return look(host)
    except (HostUnreachableError, CommandError) as error:
        return Observed(host.name, problem=error.message)


def look(host: Host) -> Observed:
    """Returns one host's snapshot."""
    done = host.run(["sh", "-c", _LOOK, "look", commands.ROOT], timeout_s=60)
    if done.code != 0:
        raise CommandError(
            f"{host.name}: its Docker engine doesn't answer: {last_line(done)}",
            hint="start the engine on that host and run this again; what ran there is as it was",
        )
    return parse_look(host.name, done.stdout)


def parse_look(name: str, text: str) -> Observed:
    """Reads the snapshot that the look printed, a line a fact."""
    facts: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        facts.setdefault(key, []).append(value)
    inspected = [json.loads(each) for each in facts.get("container", [])]
    return Observed(
        host=name,
        engine_version=_one(facts, "engine"),
        compose_version=_one(facts, "compose"),
        disk_free_bytes=int(_one(facts, "disk") or 0),
        network="network" in facts,
        images=frozenset(facts.get("image", [])),
        containers=tuple(container_of(each) for each in inspected if _labels(each).get("py-cicd.release")),
        releases=tuple(_releases(facts.get("release", []))),
        edge=parse_edge(_one(facts, "routes")),
        parts=tuple(_parts(inspected)),
        ledger=parse_ledger("\n".join(facts.get("ledger", []))),
    )


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


def _parts(inspected: Iterable[dict[str, Any]]) -> Iterable[tuple[str, str]]:
    for each in inspected:
        labels = _labels(each)
        if "py-cicd.key" in labels and each["State"]["Status"] == "running":
            yield labels["py-cicd.name"], labels["py-cicd.key"]
