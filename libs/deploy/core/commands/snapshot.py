"""Takes a snapshot of a host: the script, and the parser of what it prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deploy.core.commands import edge_state, locks, paths
from deploy.core.commands.paths import ROOT
from deploy.core.state.draining import DRAINS_LABEL, parse_draining
from deploy.core.state.edge import HEADER, EdgeState, parse_edge
from deploy.core.state.hold import parse_hold
from deploy.core.state.host import Container, Damage, HostState
from deploy.core.state.json_record import NewerFormatError, from_json, load
from deploy.core.state.ledger import ledger_problem, parse_ledger
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


LAST_SECOND = 253_402_300_800.0
"""The year 10000, in seconds since 1970."""

# Effects, results of analyses and ends of drains are most of a ledger, and no plan needs them.
_LEFT_OUT_EVENTS = ("effect", "judged", "drained")
_LEFT_OUT = f'"event" *: *"({"|".join(_LEFT_OUT_EVENTS)})"'

# $1 root, $2 template for a container, $3 for the engine, $4 extended regular expression of ledger lines to leave out,
# $5 lock, $6 holder file, $7 file with the holder's process, $8 and $9 files that pause the watchdog.
# Prints one fact per line, each after its kind. The groups run at the same time, because starting the client takes most
# of the time: each prints its own lines, then those of the group before it. A list that the engine didn't give, for
# example while it starts, must not pass for an empty one: the last group fails unless both lists are complete.
# A network that a running container is in exists, so usually no client has to ask for it. From Docker 29 on, images
# without a tag are listed only with --all.
_SNAPSHOT = f"""{edge_state.FUNCTION}{locks.HOLDER_FUNCTION}
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
  edge_state "$1"/edge/conf/routes.conf "$1"/edge/states
  (cd "$1/metrics/conf/targets" && sha256sum -- *.json) | sed 's/^/targets /'
  printf 'now %s\\n' "$(date +%s)"
  sed 's/^/seal /' "$1"/ledger.jsonl.seal
  [ -e "$1"/ledger.jsonl ] && printf 'lines %s\\n' "$(wc -l < "$1"/ledger.jsonl)"
  grep -v -E -e "$4" "$1"/ledger.jsonl | sed 's/^/ledger /'
  flock --shared --nonblock --conflict-exit-code {locks.LOCK_TAKEN} "$5" true
  [ $? -ne {locks.LOCK_TAKEN} ] || printf 'holder %s\\n' "$(holder "$5" "$6" "$7")"
  for hold in "$1"/services/*/hold.json; do
    [ -e "$hold" ] && printf 'hold %s\\n' "$(cat "$hold")"
  done
  for kept in "$1"/services/*/logs/*; do
    [ -e "$kept" ] && printf 'kept %s\\n' "${{kept#"$1"/services/}}"
  done
  for draining in "$1"/services/*/draining/*.json; do
    [ -e "$draining" ] && printf 'draining %s\\n' "$(cat "$draining")"
  done
  if [ -e "$8" ] || [ -e "$9" ]; then echo 'paused watchdog'; fi
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
    values = [ROOT, _CONTAINER, _ENGINE, _LEFT_OUT, locks.LOCK, locks.HOLDER, locks.HOLDER_PID]
    values += paths.WATCHDOG_PAUSES
    return ["sh", "-c", _SNAPSHOT, "snapshot", *values]


@dataclass(frozen=True)
class _Check:
    start: str = field(default="", metadata={"key": "Start"})
    code: int = field(default=0, metadata={"key": "ExitCode"})


@dataclass(frozen=True)
class _Health:
    status: str = field(metadata={"key": "Status"})
    log: tuple[_Check, ...] | None = field(default=None, metadata={"key": "Log"})


@dataclass(frozen=True)
class _ContainerState:
    status: str = field(metadata={"key": "Status"})
    started: str = field(default="", metadata={"key": "StartedAt"})
    finished: str = field(default="", metadata={"key": "FinishedAt"})
    health: _Health | None = field(default=None, metadata={"key": "Health"})

    @property
    def since(self) -> str | None:
        """When the container ended, or when its health check first failed (of the five that Docker keeps)."""
        if self.status != "running":
            return _time(self.finished)
        since = self.started
        if self.health and self.health.status == "unhealthy":
            for check in reversed(self.health.log or ()):
                if check.code == 0:
                    break
                since = check.start or since
        return _time(since)


@dataclass(frozen=True)
class _ContainerConfig:
    labels: Mapping[str, str] | None = field(default=None, metadata={"key": "Labels"})


@dataclass(frozen=True)
class _Network:
    address: str = field(default="", metadata={"key": "IPAddress"})


@dataclass(frozen=True)
class _Networks:
    networks: Mapping[str, _Network | None] | None = field(
        default=None, metadata={"key": "Networks"}
    )


@dataclass(frozen=True)
class _Inspected:
    """The parts of an element of `docker inspect` that are used here."""

    id: str = field(metadata={"key": "Id"})
    name: str = field(metadata={"key": "Name"})
    state: _ContainerState = field(metadata={"key": "State"})
    config: _ContainerConfig = field(metadata={"key": "Config"})
    settings: _Networks = field(default=_Networks(), metadata={"key": "NetworkSettings"})
    restarts: int = field(default=0, metadata={"key": "RestartCount"})

    @property
    def labels(self) -> Mapping[str, str]:
        return self.config.labels or {}

    @property
    def finishes_drains(self) -> bool:
        """Whether it is a watchdog that runs and finishes drains."""
        return self.state.status == "running" and self.labels.get(DRAINS_LABEL) == "1"

    @property
    def is_replica(self) -> bool:
        return ID.fullmatch(self.labels.get("py-cicd.release", "")) is not None

    def container(self) -> Container:
        network = (self.settings.networks or {}).get(paths.NETWORK)
        return Container(
            id=self.id,
            name=self.name.lstrip("/"),
            service=self.labels.get("py-cicd.service", ""),
            release=self.labels.get("py-cicd.release", ""),
            replica=self.labels.get("py-cicd.name", ""),
            state=self.state.status,
            health=(self.state.health.status if self.state.health else "") or None,
            address=network.address if network else "",
            restarts=self.restarts,
            since=self.state.since,
        )


def parse_snapshot(name: str, text: str) -> HostState:
    """Returns the state of a host from the output of `take`, which has one fact per line.

    Records that can't be read are listed as its `damage`. Raises ValueError for anything else that isn't such an
    output, as that of an engine that answers with something else.
    """
    facts: dict[str, list[str]] = {}
    # Not splitlines(): labels may contain characters that end a line in Python only.
    for line in text.split("\n"):
        key, _, value = line.partition(" ")
        facts.setdefault(key, []).append(value)
    inspected = [
        from_json(_Inspected, load(line), "container") for line in facts.get("container", [])
    ]
    containers = tuple(each.container() for each in inspected if each.is_replica)
    damage: list[Damage] = []
    releases = tuple(_releases(facts.get("release", []), damage))
    edge = _edge(facts, damage)
    running = [each for each in containers if each.state == "running"]
    if running and not damage and not _one(facts, "routes").startswith(HEADER):
        lost = "has lost its first line" if "routes" in facts else "is missing"
        damage.append(
            Damage(
                f"the edge's state ({paths.ROUTES}) {lost}, but {len(running)} replicas run",
                of_edge=True,
            )
        )
    ledger = parse_ledger("\n".join(facts.get("ledger", [])))
    if problem := ledger_problem(
        _one(facts, "seal"), _count(facts), ledger, has_releases=bool(releases)
    ):
        damage.append(Damage(f"the ledger ({locks.LEDGER}) {problem}"))
    return HostState(
        host=name,
        damage=tuple(damage),
        engine_version=_one(facts, "engine"),
        compose_version=_one(facts, "compose").removeprefix("v"),
        disk_free_bytes=int(_one(facts, "disk") or 0),
        network="network" in facts,
        images=frozenset(facts.get("image", [])),
        containers=containers,
        releases=releases,
        edge=edge,
        stacks=tuple(_stacks(inspected, running=True)),
        stopped_stacks=tuple(_stacks(inspected, running=False)),
        targets=tuple(_targets(facts.get("targets", []))),
        ledger=ledger,
        holds=tuple(hold for line in facts.get("hold", []) if (hold := parse_hold(line))),
        now_s=_seconds(_one(facts, "now")),
        listening=frozenset(_ports(facts.get("socket", []))),
        holder=locks.parse_holder(facts["holder"][0]) if "holder" in facts else None,
        kept_logs=tuple(_kept_logs(facts.get("kept", []))),
        draining=tuple(parse_draining(line) for line in facts.get("draining", [])),
        finishes_drains="paused" not in facts and any(each.finishes_drains for each in inspected),
    )


def parse_inspected(text: str) -> tuple[Container, ...]:
    """Returns the containers in the output of `docker inspect`. Raises ValueError if it isn't such an output."""
    return tuple(container_of(each) for each in inspected_documents(text))


def container_of(document: Mapping[str, Any]) -> Container:
    """Returns the container of one element of `docker inspect`. Raises ValueError if it isn't one."""
    return from_json(_Inspected, document, "container").container()


def inspected_documents(text: str) -> list[dict[str, Any]]:
    """Returns the same as documents, for what containers alone don't tell. Raises ValueError as well."""
    found = load(text or "[]")
    if not isinstance(found, list):
        raise ValueError(f"should be a list, not {text[:100]!r}")
    for each in found:
        from_json(_Inspected, each, "container")
    return found


def _time(text: str) -> str | None:
    """Returns Docker's time to the second in UTC. It writes year 1 for what never happened."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC).isoformat(timespec="seconds") if at.year > 1 else None
    except (ValueError, OverflowError):
        return None


def _one(facts: dict[str, list[str]], key: str) -> str:
    return facts.get(key, [""])[0].strip()


def _seconds(text: str) -> float:
    found = float(text or 0)
    if not 0 <= found < LAST_SECOND:
        raise ValueError(f"now: {text[:100]!r} is no time")
    return found


def _count(facts: dict[str, list[str]]) -> int | None:
    """Returns the number of lines of the ledger, None if there is no ledger."""
    return int(_one(facts, "lines")) if "lines" in facts else None


def _releases(lines: Iterable[str], damage: list[Damage]) -> Iterable[Release]:
    """Yields the readable records. Without one its release can't be returned to, but is never removed."""
    for line in lines:
        try:
            yield parse_release(line)
        except NewerFormatError as error:
            damage.append(Damage(f"the record of a release: {error}", newer=True))
        except ValueError:
            continue


def _edge(facts: dict[str, list[str]], damage: list[Damage]) -> EdgeState:
    """Returns the edge's routes. A state that can't be read is damage, never an edge without routes."""
    try:
        return parse_edge(_one(facts, "routes"), facts["state"][0] if "state" in facts else None)
    except NewerFormatError as error:
        damage.append(Damage(f"the edge's state ({paths.ROUTES}): {error}", newer=True))
    except ValueError as error:
        damage.append(
            Damage(f"the edge's state ({paths.ROUTES}) can't be read: {error}", of_edge=True)
        )
    return EdgeState()


def _stacks(inspected: Iterable[_Inspected], *, running: bool) -> Iterable[tuple[str, str]]:
    for each in inspected:
        labels = each.labels
        if "py-cicd.key" in labels and (each.state.status == "running") is running:
            yield labels.get("py-cicd.name", ""), labels["py-cicd.key"]


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


def _kept_logs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Yields (service, release) of paths such as app/logs/r000004-3f9c2ab."""
    for line in lines:
        service, _, release = line.partition("/logs/")
        if ID.fullmatch(release):
            yield service, release
