"""`ship history SERVICE`: the releases of a service and the commands run in its replicas."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from deploy.cli.output.columns import table
from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.run.queries.history import (
    executed,
    history,
    verify,
)

HEADINGS = ("TURN", "WHEN", "VERB", "RELEASE", "REVISION", "OUTCOME", "SECONDS", "WHO", "WHY")
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
    return {
        "service": arguments.service,
        **verified,
        "releases": [
            each.document() for each in history(wiring.connections.hosts(), arguments.service)
        ],
        "commands": [
            each.document() for each in executed(wiring.connections.hosts(), arguments.service)
        ],
    }


def _show(document: Document) -> str:
    intact = [
        f"{host}: {lines} lines, intact" for host, lines in document.get("verified", {}).items()
    ]
    return "\n".join([_releases(document), *_commands(document), *intact])


def _commands(document: Document) -> list[str]:
    keys = ("when", "host", "release", "exit_code", "who", "command")
    rows = [tuple(str(each[key]) for key in keys) for each in document["commands"]]
    return ["", table([COMMANDS, *rows])] if rows else []


def _releases(document: Document) -> str:
    if not document["releases"]:
        return f"{document['service']}: no release yet; ./ship deploy {document['service']}"
    return table([HEADINGS, *(_row(each) for each in document["releases"])])


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(each["turn"]),
        each["when"],
        each["verb"],
        each["release"],
        each["revision"][:12],
        each["outcome"],
        f"{each['seconds']:.1f}",
        each["who"],
        each["why"],
    )


VERB = Verb(_run, _add, _show)
