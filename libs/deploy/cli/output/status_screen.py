"""Formats `ship status` for one screen: first what is wrong, since when and what helps, then what runs where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deploy.cli.output.columns import table

_HEADINGS = ("HOST", "PHASE", "RELEASE", "READY", "URL")
_MORE = "--json lists all"
_FEWEST_ROWS = 2


def render(document: Mapping[str, Any], height: int | None = None) -> str:
    """Returns the lines of a status document, at most `height - 1` of them if that is at all possible.

    Problems and hosts that don't fit are counted; hosts with a problem come first.
    """
    services: Sequence[Mapping[str, Any]] = document["services"]
    problems = _problems(services)
    room = height - 1 if height else None
    # At most a third of the screen is for problems, each with its command; one is always shown.
    shown = problems if room is None else problems[: max(1, room // 6)]
    lines = [_heading(document["environment"], problems)]
    for problem in shown:
        lines += [f"  {_sentence(problem)}", f"    next: {problem['command']}"]
    if len(shown) < len(problems):
        lines.append(f"  and {len(problems) - len(shown)} more: {_MORE}")
    tail = ["", *(f"{name}: {url}" for name, url in document["urls"].items())]
    heads = [_head(service) for service in services]
    # A table's heading, and the line that counts the hosts that it leaves out, take a line each.
    rows = None
    if room is not None and services:
        fixed = len(lines) + len(tail) + sum(map(len, heads)) + 2 * len(services)
        rows = (room - fixed) // len(services)
    for service, head in zip(services, heads, strict=True):
        lines += [*head, *_hosts(service, rows)]
    return "\n".join([*lines, *tail])


def _problems(services: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the problems of all services; that a host is unreachable is one, however many services it has."""
    found = {problem["text"]: problem for service in services for problem in service["problems"]}
    return list(found.values())


def _heading(environment: str, problems: Sequence[object]) -> str:
    count = len(problems)
    what = f"{count} problem{'s' if count > 1 else ''}" if count else "everything runs as recorded"
    return f"environment {environment}: {what}"


def _sentence(problem: Mapping[str, Any]) -> str:
    since = f", since {_time(problem['since'])}" if problem["since"] else ""
    return f"{problem['text']}{since}"


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _head(service: Mapping[str, Any]) -> list[str]:
    replicas = f"{service['replicas']['ready']}/{service['replicas']['wanted']} replicas ready"
    lock = service["lock"]
    held = (
        f", locked by {lock.get('who', 'unknown')} since {lock.get('since', '?')}" if lock else ""
    )
    lines = ["", f"{service['name']}: {service['summary']}, {replicas}{held}"]
    if service["reach"]:
        lines.append(f"  {service['url']}, here: {service['reach']}")
    return lines


def _hosts(service: Mapping[str, Any], rows: int | None) -> list[str]:
    hosts = service["hosts"]
    if rows is not None and len(hosts) > rows + 1:
        if rows < _FEWEST_ROWS:
            return []
        hosts = sorted(hosts, key=_is_well)[:rows]
    shown = [_HEADINGS, *(_row(host) for host in hosts)]
    lines = [f"  {line}" for line in table(shown).splitlines()]
    if left := len(service["hosts"]) - len(hosts):
        lines.append(f"  and {left} more: {_MORE}")
    return lines


def _is_well(host: Mapping[str, Any]) -> bool:
    return (host["phase"], host["ready"]) == ("live", host["wanted"])


def _row(host: Mapping[str, Any]) -> tuple[str, ...]:
    phase = f"{host['phase']}, closed" if host["maintenance"] else host["phase"]
    ready = f"{host['ready']}/{host['wanted']}"
    return (host["name"], phase, host["release"] or "-", ready, host["url"])
