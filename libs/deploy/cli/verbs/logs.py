"""`ship logs SERVICE`: the logs of all replicas, and those that hosts kept of removed ones."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.errors import UsageError
from deploy.run.queries.kept_logs import kept_lines, releases_with_logs
from deploy.run.queries.logs import LogLine, logs

RECENT = "10m"
ALL = "0"

_DURATION = re.compile(r"(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    parser.add_argument(
        "--release",
        metavar="ID",
        help="only the replicas of this release, also if it failed and was removed",
    )
    parser.add_argument(
        "--since",
        metavar="T",
        help="how far back: 90s, 10m, 2h, or a time (default: 10m; all of a release, and of kept logs)",
    )
    parser.add_argument(
        "--grep",
        default="",
        metavar="RE",
        help="only lines that match, also in the kept logs of releases that failed",
    )


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    wiring.settings.service(arguments.service)
    try:
        pattern = re.compile(arguments.grep)
    except re.error as error:
        raise UsageError(
            f"--grep: {arguments.grep!r} is not a regular expression: {error}"
        ) from error
    count = total = 0
    for line in _lines(arguments, wiring):
        total += 1
        if pattern.search(line.text):
            count += 1
            print(_text(line, as_json=arguments.json), flush=True)
    if arguments.release and not total:
        _refuse(arguments, wiring)
    return {"service": arguments.service, "lines": count}


def _lines(arguments: Namespace, wiring: Wiring) -> Iterator[LogLine]:
    hosts, service = wiring.connections.hosts(), arguments.service
    release: str | None = arguments.release
    after = earliest(arguments.since, datetime.now(UTC)) if arguments.since else ""
    if release or arguments.grep:
        yield from kept_lines(hosts, service, release, after=after)
    since = arguments.since or (ALL if release else RECENT)
    yield from logs(hosts, service, release, since=since, follow=arguments.follow)


def _refuse(arguments: Namespace, wiring: Wiring) -> None:
    """Raises UsageError unless the release has replicas or kept logs, which then have no line since that time."""
    hosts, service, release = wiring.connections.hosts(), arguments.service, arguments.release
    found = sorted(releases_with_logs(hosts, service))
    if release not in found:
        raise UsageError(
            f"{service} {release} has no running replica, and no host kept logs of it",
            hint=f"kept logs: {', '.join(found) or 'none'}; ./ship history {service} lists all releases",
        )


def earliest(since: str, now: datetime) -> str:
    """Returns the time (UTC, ISO 8601) that `--since` means. Raises UsageError unless it is a duration or a time."""
    if found := _DURATION.fullmatch(since):
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return _utc(now - timedelta(hours=hours, minutes=minutes, seconds=seconds))
    try:
        if since.replace(".", "", 1).isdecimal():
            return _utc(datetime.fromtimestamp(float(since), UTC))
        return _utc(datetime.fromisoformat(since))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--since: {since!r} is neither a duration nor a time",
            hint="for example 90s, 10m, 1h30m, 2026-11-28, 2026-11-28T10:00:00Z",
        ) from error


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _text(line: LogLine, *, as_json: bool) -> str:
    if as_json:
        document = {"host": line.host, "replica": line.replica, "line": line.text}
        return json.dumps({**document, "release": line.release})
    return f"{line.host} {line.replica} | {line.text}"


VERB = Verb(_run, _add)
