"""Takes a snapshot of a host: the script, and the parser of what it prints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from deploy.core.commands import locks, paths
from deploy.core.commands.paths import ROOT
from deploy.core.state.draining import DRAINS_LABEL, parse_draining
from deploy.core.state.edge import parse_edge
from deploy.core.state.hold import parse_hold
from deploy.core.state.host import Container, HostState
from deploy.core.state.ledger import parse_ledger
from deploy.core.state.release import ID, Release, parse_release

# The environment of a container is left out, because it may contain secrets.
_CONTAINER = (
    '{"Id":{{json .Id}},"Name":{{json .Name}},"RestartCount":{{json .RestartCount}},"State":{{json .State}},'
    '"Config":{"Labels":{{json .Config.Labels}},"Image":{{json .Config.Image}}},'
    '"NetworkSettings":{"Networks":{{json .NetworkSettings.Networks}}}}'
)


# All in one call, because each takes about 50 ms. The folder of the engine's data must be last.
_ENGINE = (
    'engine {{.ServerVersion}}{{"\\n"}}'
    'compose {{range .ClientInfo.Plugins}}{{if eq .Name "compose"}}{{.Version}}{{end}}{{end}}{{"\\n"}}'
    "data {{.DockerRootDir}}"
)


# Effects, results of analyses and ends of drains are most of a ledger, and no plan needs them.
_LEFT_OUT_EVENTS = ("effect", "judged", "drained")
_LEFT_OUT = f'"event" *: *"({"|".join(_LEFT_OUT_EVENTS)})"'

# $1 root, $2 template for a container, $3 for the engine, $4 extended regular expression of ledger lines to leave out,
# $5 lock, $6 holder file, $7 and $8 files that pause the watchdog.
# Prints one fact per line, each after its kind. The groups run at the same time, because starting the client takes most
# of the time: each prints its own lines, then those of the group before it. A list that the engine didn't give, for
# example while it starts, must not pass for an empty one: the last group fails unless both lists are complete.
# A network that a running container is in exists, so usually no client has to ask for it. From Docker 29 on, images
# without a tag are listed only with --all.
_SNAPSHOT = f"""
{{
  if ids=$(docker ps --all --quiet --filter label=py-cicd.name); then
    echo 'complete containers'
    found=$([ -z "$ids" ] || printf '%s\\n' "$ids" | xargs docker inspect --format 'container '"$2")
    printf '%s\\n' "$found"
    if printf '%s\\n' "$found" | grep -q '"Status":"running".*"{paths.NETWORK}":{{'; then
      echo 'network {paths.NETWORK}'
    else
      docker network inspect {paths.NETWORK} --format 'network {{{{.Name}}}}'
    fi
  fi
  cat "$1"/services/*/releases/*/release.json | sed 's/^/release /'
  sed -n '1s/^/routes /p' "$1"/edge/conf/routes.conf
  (cd "$1/metrics/conf/targets" && sha256sum -- *.json) | sed 's/^/targets /'
  printf 'now %s\\n' "$(date +%s)"
  grep -v -E -e "$4" "$1"/ledger.jsonl | sed 's/^/ledger /'
  flock --shared --nonblock --conflict-exit-code {locks.LOCK_TAKEN} "$5" true
  [ $? -ne {locks.LOCK_TAKEN} ] || printf 'holder %s\\n' "$(cat "$6")"
  for hold in "$1"/services/*/hold.json; do
    [ -e "$hold" ] && printf 'hold %s\\n' "$(cat "$hold")"
  done
  for draining in "$1"/services/*/draining/*.json; do
    [ -e "$draining" ] && printf 'draining %s\n' "$(cat "$draining")"
  done
  if [ -e "$7" ] || [ -e "$8" ]; then echo 'paused watchdog'; fi
}} 2>/dev/null | {{
  docker image ls --all --digests --format 'image {{{{.Repository}}}}@{{{{.Digest}}}}' && echo 'complete images'
  cat
}} 2>/dev/null | {{
  engine=$(docker info --format "$3") || exit 1
  printf '%s\\n' "$engine"
  data=${{engine##*data }}
  [ -d "$data" ] || data=/
  printf 'disk %s\\n' "$(df --output=avail --block-size=1 "$data" | tail -n 1)"
  grep -h ' 0A ' /proc/net/tcp /proc/net/tcp6 2>/dev/null | sed 's/^/socket /'
  awk '
    /^complete / {{ lists++; next }}
    {{ print }}
    END {{ if (lists < 2) {{ print "it did not list its containers and images" > "/dev/stderr"; exit 1 }} }}'
}}
"""


def take() -> list[str]:
    """Prints everything that a plan is made from."""
    values = [ROOT, _CONTAINER, _ENGINE, _LEFT_OUT, locks.LOCK, locks.HOLDER]
    values += paths.WATCHDOG_PAUSES
    return ["sh", "-c", _SNAPSHOT, "snapshot", *values]


def parse_snapshot(name: str, text: str) -> HostState:
    """Returns the state of a host from the output of `take`, which has one fact per line."""
    facts: dict[str, list[str]] = {}
    # Not splitlines(): labels may contain characters that end a line in Python only.
    for line in text.split("\n"):
        key, _, value = line.partition(" ")
        facts.setdefault(key, []).append(value)
    inspected = [json.loads(line) for line in facts.get("container", [])]
    return HostState(
        host=name,
        engine_version=_one(facts, "engine"),
        compose_version=_one(facts, "compose").removeprefix("v"),
        disk_free_bytes=int(_one(facts, "disk") or 0),
        network="network" in facts,
        images=frozenset(facts.get("image", [])),
        containers=tuple(
            container_of(container) for container in inspected if _is_replica(container)
        ),
        releases=tuple(_releases(facts.get("release", []))),
        edge=parse_edge(_one(facts, "routes")),
        stacks=tuple(_stacks(inspected, running=True)),
        stopped_stacks=tuple(_stacks(inspected, running=False)),
        targets=tuple(_targets(facts.get("targets", []))),
        ledger=parse_ledger("\n".join(facts.get("ledger", []))),
        holds=tuple(hold for line in facts.get("hold", []) if (hold := parse_hold(line))),
        now_s=float(_one(facts, "now") or 0),
        listening=frozenset(_ports(facts.get("socket", []))),
        holder=locks.parse_holder(facts["holder"][0]) if "holder" in facts else None,
        draining=tuple(parse_draining(line) for line in facts.get("draining", [])),
        finishes_drains="paused" not in facts and any(map(_finishes_drains, inspected)),
    )


def _finishes_drains(inspected: dict[str, Any]) -> bool:
    runs = inspected["State"]["Status"] == "running"
    return runs and _labels(inspected).get(DRAINS_LABEL) == "1"


def _is_replica(inspected: dict[str, Any]) -> bool:
    return ID.fullmatch(_labels(inspected).get("py-cicd.release", "")) is not None


def container_of(inspected: dict[str, Any]) -> Container:
    """Returns the container of one element of `docker inspect`."""
    labels, state = _labels(inspected), inspected["State"]
    networks = inspected.get("NetworkSettings", {}).get("Networks", {})
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        service=labels.get("py-cicd.service", ""),
        release=labels.get("py-cicd.release", ""),
        replica=labels.get("py-cicd.name", ""),
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status"),
        address=networks.get(paths.NETWORK, {}).get("IPAddress", ""),
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
            continue  # a torn record, or one of a newer version


def _stacks(inspected: Iterable[dict[str, Any]], *, running: bool) -> Iterable[tuple[str, str]]:
    for container in inspected:
        labels = _labels(container)
        if "py-cicd.key" in labels and (container["State"]["Status"] == "running") is running:
            yield labels["py-cicd.name"], labels["py-cicd.key"]


def _ports(lines: Iterable[str]) -> Iterable[int]:
    """Yields the ports of lines of /proc/net/tcp: number, hexadecimal local address and port, and more."""
    for line in lines:
        words = line.split()
        if len(words) > 1:
            yield int(words[1].rpartition(":")[2], 16)


def _targets(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Yields (service, digest) of sha256sum's lines: digest, two spaces, file."""
    for line in lines:
        digest, _, file = line.partition("  ")
        yield file.removesuffix(".json"), digest
