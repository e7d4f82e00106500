"""Gathers what the hosts know about one rollout. Facts that are no longer known are left empty."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from deploy.core.analysis import access_log
from deploy.core.analysis.stage import Stage
from deploy.core.analysis.verdict import Verdict, parse_verdict
from deploy.core.commands import kept_logs, locks, paths
from deploy.core.ports import Host
from deploy.core.reports.page import Report
from deploy.core.reports.rollout_log import RolloutLog, parse_rollout_log
from deploy.core.reports.traffic import Traffic, requests_over_time
from deploy.core.state.fleet import FleetState
from deploy.core.state.ledger import Entry, parse_ledger
from deploy.core.state.release import Release, parse_release
from deploy.errors import CommandError, UsageError
from deploy.run.hosts.fanout import MOST_HOSTS
from deploy.run.hosts.observe import observe

BEFORE_S, AFTER_S = 60.0, 90.0


@dataclass(frozen=True)
class Known:
    """The facts of a report, and the revision of the release before it ("" if unknown)."""

    report: Report
    previous_revision: str


def gather(
    hosts: Sequence[Host], service: str, release: str | None, *, made_at: str, tool_version: str
) -> Known:
    """Returns what is known about the last rollout of `release`, or the last of the service if that is None.

    Raises UsageError if no host has a log of it.
    """
    fleet = observe(hosts)
    entries = _entries(hosts, service)
    log = _log(hosts, service, release, entries)
    old = fleet.release(service, log.previous) if log.previous else None
    new = fleet.release(service, log.release) or _kept_record(hosts, log)
    # A log of an earlier version has no images.
    images = (log.images[0] or _image(old), log.images[1] or _image(new))
    report = Report(
        log=log,
        made_at=made_at,
        tool_version=tool_version,
        image_bytes=(_size(hosts, images[0]), _size(hosts, images[1])),
        verdicts=tuple(_verdicts(entries, log.turn)),
        traffic=_traffic(hosts, log),
        replicas=tuple(_replicas(fleet, log)),
        changes=log.changes or (),
        replica_diff=log.replica_diff,
    )
    return Known(report, log.previous_revision or (old.revision if old else ""))


def _entries(hosts: Sequence[Host], service: str) -> tuple[Entry, ...]:
    """Returns the entries of all hosts without duplicates; a verdict is in the ledger of one host only."""
    found: dict[tuple[int, str, str, str], Entry] = {}
    for host in hosts:
        for entry in parse_ledger((host.read(locks.LEDGER) or b"").decode(errors="replace")):
            if entry.service == service and entry.event != "effect":
                found.setdefault((entry.turn, entry.event, entry.when, entry.what), entry)
    return tuple(sorted(found.values(), key=lambda entry: entry.turn))


def _log(
    hosts: Sequence[Host], service: str, release: str | None, entries: Sequence[Entry]
) -> RolloutLog:
    turns = [entry.turn for entry in entries if release in (None, entry.release)]
    for turn in sorted(set(turns), reverse=True):
        for host in hosts:
            text = host.read(f"{paths.rollout_logs(service)}/{turn:06d}.json")
            try:
                if text is not None:
                    return parse_rollout_log(text.decode())
            except ValueError:
                continue  # written by a newer version
    what = f"{service} {release}" if release else service
    raise UsageError(
        f"no host has a rollout log of {what}",
        hint=f"./ship history {service} lists the releases; the logs of the last hundred rollouts are kept",
    )


def _kept_record(hosts: Sequence[Host], log: RolloutLog) -> Release | None:
    """Returns the record that a host kept with the logs of a release that failed."""
    file = f"{paths.kept_logs(log.service)}/{log.release}/{kept_logs.RECORD}"
    for host in hosts:
        with suppress(ValueError):  # written by a newer version
            if (text := host.read(file)) is not None:
                return parse_release(text.decode())
    return None


def _verdicts(entries: Sequence[Entry], turn: int) -> list[tuple[Stage, Verdict]]:
    found = []
    for entry in entries:
        if (entry.turn, entry.event) == (turn, "judged"):
            with suppress(ValueError):  # written by a newer version
                found.append(parse_verdict(entry.what))
    return found


def _image(release: Release | None) -> str:
    return release.image if release else ""


def _size(hosts: Sequence[Host], image: str) -> int:
    for host in hosts if image else ():
        done = host.run(["docker", "image", "inspect", "--format", "{{.Size}}", image])
        if done.code == 0 and done.stdout.strip().isdigit():
            return int(done.stdout)
    return 0


def _replicas(fleet: FleetState, log: RolloutLog) -> list[tuple[str, str, str, str]]:
    return [
        (host.host, container.name, container.release, container.condition)
        for host in fleet
        for container in host.containers
        if container.service == log.service and container.release in (log.release, log.previous)
    ]


def _traffic(hosts: Sequence[Host], log: RolloutLog) -> Traffic:
    """Returns both releases' requests from `BEFORE_S` before the rollout to `AFTER_S` after it."""
    begun = datetime.fromisoformat(log.begun).timestamp()
    argv = access_log.by_second(begun - BEFORE_S, begun + log.seconds + AFTER_S)
    with ThreadPoolExecutor(max_workers=MOST_HOSTS) as pool:
        results = list(pool.map(lambda host: host.run(argv, timeout_s=60), hosts))
    if all(done.code != 0 for done in results):
        raise CommandError("can't read the access log of any edge", stderr=results[0].stderr)
    text = "".join(done.stdout for done in results)
    return requests_over_time(log, access_log.parse_seconds(text))
