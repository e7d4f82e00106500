"""`ship maintenance on|off SERVICE`: closes a service to its users, or reopens it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.verbs.outcome import add_wait, document_of
from deploy.cli.wiring import Wiring
from deploy.run.rollout.maintenance import Maintenance, set_maintenance


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("state", choices=("on", "off"))
    parser.add_argument("service")
    add_wait(parser)
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason for the record")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    service, origin = (
        wiring.settings.service(arguments.service),
        wiring.commands.origin(arguments.why),
    )
    command = Maintenance(
        service, arguments.state == "on", origin, pipeline=wiring.commands.pipeline
    )
    return document_of(
        set_maintenance(command, wiring.context(), console.on_event, wait=arguments.wait), console
    )


def _show(document: Document) -> str:
    if document["outcome"] == "unchanged":
        return f"{document['service']}: nothing to do ({document['seconds']:.1f} s)"
    what = {
        "closed": "closed: users get a 503 page; the preview route still answers",
        "open": f"open: {document['release']} is live",
    }[document["outcome"]]
    return f"{document['service']}: {what} ({document['seconds']:.1f} s)"


VERB = Verb(_run, _add, _show)
