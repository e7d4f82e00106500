"""`ship status [SERVICE]`: what runs where, compared with what should."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from deploy.cli.output.columns import table
from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.run.queries.status import status


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service", nargs="?", help="one service (default: all)")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    names = wiring.settings.names([arguments.service] if arguments.service else [])
    environment = wiring.settings.environment()
    found = status(
        environment,
        wiring.connections.hosts(),
        tuple(wiring.settings.service(name) for name in names),
    )
    urls = dict.fromkeys(names, environment.hosts[0].url)
    if environment.metrics:
        urls["prometheus"] = environment.metrics.prometheus_url
    return {"environment": environment.name, "urls": urls, "services": found}


def _show(document: Document) -> str:
    lines = [f"environment {document['environment']}"]
    for service in document["services"]:
        lines.append("")
        lines.append(_headline(service))
        rows = [("HOST", "PHASE", "RELEASE", "READY", "URL")]
        for host in service["hosts"]:
            ready = f"{host['ready']}/{host['wanted']}"
            phase = f"{host['phase']}, closed" if host["maintenance"] else host["phase"]
            rows.append((host["name"], phase, host["release"] or "-", ready, host["url"]))
        lines += [f"  {line}" for line in table(rows).splitlines()]
        lines += [f"  draining: {_draining(each)}" for each in service["draining"]]
        lines += [f"  drift: {each}" for each in service["drift"]]
    lines += ["", *(f"{name}: {url}" for name, url in document["urls"].items())]
    return "\n".join(lines)


def _draining(drain: dict[str, Any]) -> str:
    ends = f"ends within {max(0.0, drain['ends_in_s']):.0f} s"
    return f"{drain['release']} on {drain['host']}, replicas: {drain['replicas']}, {ends}"


def _headline(service: dict[str, Any]) -> str:
    replicas = f"{service['replicas']['ready']}/{service['replicas']['wanted']} replicas ready"
    lock = service["lock"]
    held = (
        f", locked by {lock.get('who', 'unknown')} since {lock.get('since', '?')}" if lock else ""
    )
    return f"{service['name']}: {service['release'] or 'nothing live'}, {replicas}{held}"


VERB = Verb(_run, _add, _show)
