"""`ship history SERVICE`: the releases of a service and the commands run in its replicas."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Mapping
from typing import Any

from deploy.cli.output.columns import table
from deploy.cli.output.console import Console
from deploy.cli.output.hints import complete
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.core.state.ledger import Entry
from deploy.run.queries.history import (
    executed,
    history,
    verify,
)
from deploy.run.queries.kept_logs import releases_with_logs

HEADINGS = (
    "TURN",
    "WHEN",
    "VERB",
    "RELEASE",
    "REVISION",
    "OUTCOME",
    "SECONDS",
    "DRAIN",
    "WHO",
    "WHY",
)
COMMANDS = ("WHEN", "HOST", "RELEASE", "CODE", "WHO", "COMMAND")


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="also check that no line of the hosts' ledgers was changed or removed",
    )


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    wiring.settings.service(arguments.service)
    verified = {"verified": verify(wiring.connections.hosts())} if arguments.verify else {}
    kept = releases_with_logs(wiring.connections.hosts(), arguments.service)
    return {
        "service": arguments.service,
        **verified,
        "releases": [
            {**operation.document(), "logs": _logs_command(operation.entry, kept, arguments)}
            for operation in history(wiring.connections.hosts(), arguments.service)
        ],
        "commands": [
            execution.document()
            for execution in executed(wiring.connections.hosts(), arguments.service)
        ],
    }


def _logs_command(entry: Entry, kept: Collection[str], arguments: Namespace) -> str | None:
    """Returns the command that prints the kept logs of a release, None if there are none."""
    if entry.release not in kept:
        return None
    command = f"./ship logs {entry.service} --release {entry.release}"
    return complete(command, arguments, {"logs"})


def _show(document: Document) -> str:
    intact = [
        f"{host}: {lines} lines, intact" for host, lines in document.get("verified", {}).items()
    ]
    return "\n".join([_releases(document), *_kept_logs(document), *_commands(document), *intact])


def _kept_logs(document: Document) -> list[str]:
    """Returns a line for each release with kept logs."""
    commands = dict.fromkeys(release["logs"] for release in document["releases"])
    found = [f"  {command}" for command in commands if command]
    return ["", "kept logs of failed or removed replicas:", *found] if found else []


def _commands(document: Document) -> list[str]:
    keys = ("when", "host", "release", "exit_code", "who", "command")
    rows = [tuple(str(command[key]) for key in keys) for command in document["commands"]]
    return ["", table([COMMANDS, *rows])] if rows else []


def _releases(document: Document) -> str:
    if not document["releases"]:
        return f"{document['service']}: no release yet; ./ship deploy {document['service']}"
    return table([HEADINGS, *(_row(release) for release in document["releases"])])


def _row(operation: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(operation["turn"]),
        operation["when"],
        operation["verb"],
        operation["release"],
        operation["revision"][:12],
        operation["outcome"],
        f"{operation['seconds']:.1f}",
        _drain(operation),
        operation["who"],
        operation["why"],
    )


def _drain(operation: Mapping[str, Any]) -> str:
    seconds = operation["durations"].get("drain")
    if seconds is None:
        return "-"
    cut = operation["requests_cut"]
    return f"{seconds:.1f}" + (f", {cut} cut" if cut else "")


VERB = Verb(_run, _add, _show)
