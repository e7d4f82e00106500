"""`ship maintenance on|off SERVICE`: closes a service for its users, or opens it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Group, Verb
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
        wiring.requests.origin(arguments.why),
    )
    request = Maintenance(
        service, arguments.state == "on", origin, pipeline=wiring.requests.pipeline
    )
    return document_of(
        set_maintenance(request, wiring.context(), console.tell, wait=arguments.wait), console
    )


def _show(document: Document) -> str:
    if document["outcome"] == "unchanged":
        return f"{document['service']}: nothing to do ({document['seconds']:.1f} s)"
    what = {
        "closed": "closed, its users get 503 and a page; the preview route answers as before",
        "open": f"open, {document['release']} is live",
    }[document["outcome"]]
    return f"{document['service']}: {what} ({document['seconds']:.1f} s)"


VERB = Verb(
    Group.DEPLOY,
    "maintenance",
    "answers a service's users with 503 and a page, or lets them in again",
    "ship maintenance on app",
    _run,
    _add,
    _show,
)
