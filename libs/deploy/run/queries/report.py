"""Gathers what hosts still know of one deploy; never changes anything, and does without what is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.core.analysis import access_log
from deploy.core.analysis.samples import RequestStats, counted
from deploy.core.analysis.verdict import Verdict, parse_verdict
from deploy.core.commands import locks, paths
from deploy.core.ports import Host
from deploy.core.reports.page import EVERY_S, Report
from deploy.core.reports.release_diff import changes, replica_diff
from deploy.core.reports.rollout_log import RolloutLog, parse_rollout_log
from deploy.core.state.edge import upstream_name
from deploy.core.state.fleet import FleetState
from deploy.core.state.ledger import Entry, parse_ledger
from deploy.core.state.release import Release
from deploy.errors import CommandError, UsageError
from deploy.run.hosts.observe import observe

BEFORE_S, AFTER_S = 60.0, 90.0


@dataclass(frozen=True)
class Known:
    """What the hosts know: the deploy's chronicle, the records of both releases (None: pruned), a report's facts."""

    report: Report
    old: Release | None
    new: Release | None


def gather(
    hosts: Sequence[Host], service: str, release: str, *, made_at: str, tool_version: str
) -> Known:
    """Returns what is known of the last deploy of `release` ("": the last deploy of the service).

    Raises UsageError where no host keeps a chronicle of it.
    """
    seen = observe(hosts)
    entries = _entries(hosts, service)
    chronicle = _chronicle(hosts, service, release, entries)
    old = seen.release(service, chronicle.previous) if chronicle.previous else None
    new = seen.release(service, chronicle.release)
    report = Report(
        chronicle=chronicle,
        made_at=made_at,
        tool_version=tool_version,
        image=new.image if new else "",
        image_bytes=(_size(hosts, old), _size(hosts, new)),
        verdicts=tuple(_verdicts(entries, chronicle.turn)),
        traffic=_traffic(hosts, chronicle),
        replicas=tuple(_replicas(seen, chronicle)),
        changes=changes(old, new) if old and new else (),
        replica_diff=replica_diff(old, new) if old and new else (),
    )
    return Known(report, old, new)


def _entries(hosts: Sequence[Host], service: str) -> tuple[Entry, ...]:
    """Of all hosts, each turn's lines once: verdicts stand in one ledger only."""
    found: dict[tuple[int, str, str, str], Entry] = {}
    for host in hosts:
        for each in parse_ledger((host.read(locks.LEDGER) or b"").decode(errors="replace")):
            if each.service == service and each.event != "effect":
                found.setdefault((each.turn, each.event, each.when, each.what), each)
    return tuple(sorted(found.values(), key=lambda each: each.turn))


def _chronicle(
    hosts: Sequence[Host], service: str, release: str, entries: Sequence[Entry]
) -> RolloutLog:
    turns = [each.turn for each in entries if release in ("", each.release)]
    for turn in sorted(set(turns), reverse=True):
        for host in hosts:
            text = host.read(f"{paths.rollout_logs(service)}/{turn:06d}.json")
            try:
                if text is not None:
                    return parse_rollout_log(text.decode())
            except ValueError:
                continue  # of a newer tool
    what = f"of {release}" if release else "of any deploy"
    raise UsageError(
        f"no host keeps a chronicle {what} of {service}",
        hint=f"./ship history {service} lists the releases; a hundred deploys are kept",
    )


def _verdicts(entries: Sequence[Entry], turn: int) -> list[tuple[str, Verdict]]:
    return [
        parse_verdict(each.what) for each in entries if (each.turn, each.event) == (turn, "judged")
    ]


def _size(hosts: Sequence[Host], release: Release | None) -> int:
    if release is None:
        return 0
    for host in hosts:
        done = host.run(["docker", "image", "inspect", "--format", "{{.Size}}", release.image])
        if done.code == 0 and done.stdout.strip().isdigit():
            return int(done.stdout)
    return 0


def _replicas(seen: FleetState, told: RolloutLog) -> list[tuple[str, str, str, str]]:
    return [
        (host.host, each.name, each.release, each.condition)
        for host in seen
        for each in host.containers
        if each.service == told.service and each.release in (told.release, told.previous)
    ]


def _traffic(
    hosts: Sequence[Host], told: RolloutLog
) -> Mapping[str, list[tuple[float, RequestStats]]]:
    """Both releases' requests, `EVERY_S` together; times are the hosts' own, the deploy's its deployer's."""
    begun = datetime.fromisoformat(told.begun).timestamp()
    argv = access_log.by_second(begun - BEFORE_S, begun + told.seconds + AFTER_S)
    with ThreadPoolExecutor(max_workers=16) as pool:
        texts = list(pool.map(lambda host: host.run(argv, timeout_s=60), hosts))
    if all(done.code != 0 for done in texts):
        raise CommandError("no edge's log can be read", stderr=texts[0].stderr)
    names = {
        upstream_name(told.service, each): each for each in (told.previous, told.release) if each
    }
    rows: dict[tuple[str, float], list[tuple[float, bool, int]]] = {}
    for line in "".join(done.stdout for done in texts).splitlines():
        words = line.split()
        if len(words) != 5 or words[1] not in names or not all(w.isdigit() for w in words[2:]):
            continue
        try:
            second = datetime.fromisoformat(words[0]).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
        status, milliseconds, count = (int(word) for word in words[2:])
        moment = (second - begun) // EVERY_S * EVERY_S
        found = rows.setdefault((names[words[1]], moment), [])
        found.append((milliseconds / 1000, status >= 500, count))
    traffic: dict[str, list[tuple[float, RequestStats]]] = {name: [] for name in names.values()}
    for (name, moment), found in sorted(rows.items()):
        traffic[name].append((moment, counted(found)))
    return traffic
