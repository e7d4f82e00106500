"""`ship status [SERVICE]`: what runs where, compared with what should."""

from __future__ import annotations

import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.cli.output.console import Console
from deploy.cli.output.status_screen import render
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.core.config import Environment
from deploy.core.state.drift import ServicePhase
from deploy.run.queries.status import status

EXIT_UNKNOWN = 4
"""The exit code if a host can't be observed."""


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
    return document_of(environment, found)


def document_of(environment: Environment, services: Sequence[Mapping[str, Any]]) -> Document:
    """Returns the document of what was observed. It has an exit code of its own if a host can't be observed."""
    urls = {service["name"]: service["url"] for service in services}
    if environment.metrics:
        urls["prometheus"] = environment.metrics.prometheus_url
    return {
        **_failure(services),
        "environment": environment.name,
        "urls": urls,
        "services": services,
    }


def _failure(services: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what `ok`, `exit_code` and `error` say if a host can't be observed: a person has to look."""
    unknown = {
        host["name"]: host
        for service in services
        for host in service["hosts"]
        if host["phase"] in (ServicePhase.UNREACHABLE, ServicePhase.DAMAGED)
    }
    if not unknown:
        return {}
    damaged = any(host["phase"] == ServicePhase.DAMAGED for host in unknown.values())
    error = {
        "type": "RecordError" if damaged else "HostUnreachableError",
        "message": "; ".join(host["problem"] for host in unknown.values()),
        "hint": next((host["remedy"] for host in unknown.values() if host["remedy"]), ""),
    }
    return {"ok": False, "exit_code": EXIT_UNKNOWN, "error": error}


def _show(document: Document) -> str:
    is_terminal = sys.stdout.isatty()
    return render(document, shutil.get_terminal_size().lines if is_terminal else None)


VERB = Verb(_run, _add, _show)
