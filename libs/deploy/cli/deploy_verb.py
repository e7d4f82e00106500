"""`ship deploy SERVICE`: rolls a release out, or back."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.console import Console
from deploy.cli.verbs import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.run.deploy import Outcome, deploy


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--image",
        metavar="REF@DIGEST",
        help="an image that is published (default: build this checkout)",
    )
    parser.add_argument("--replicas", type=int, metavar="N", help="replicas on each host")
    parser.add_argument(
        "--dotenv",
        metavar="FILE",
        help="write the release that it ended with, for later jobs of a GitLab pipeline",
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason for the record")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    request = wiring.request(
        arguments.service, arguments.image, arguments.replicas, why=arguments.why
    )
    return document_of(deploy(request, wiring.world(), console.tell), console)


def document_of(outcome: Outcome, console: Console) -> Document:
    """Returns the document that deploy and its relatives answer with."""
    return {
        "service": outcome.service,
        "release": outcome.release,
        "previous": outcome.previous or None,
        "outcome": outcome.outcome,
        "steps": console.steps,
        "seconds": outcome.seconds,
    }


def show(document: Document) -> str:
    """Writes a deploy's end as a line."""
    if document["outcome"] == "unchanged":
        return f"{document['service']}: nothing to do, {document['release']} is live ({document['seconds']:.1f} s)"
    return f"{document['service']}: {document['release']} is live ({document['seconds']:.1f} s)"


VERB = Verb(
    "deploy",
    "rolls a release out to every host, or takes all of them back",
    "ship deploy app",
    _run,
    _add,
    show,
)
