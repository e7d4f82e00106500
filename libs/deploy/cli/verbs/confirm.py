"""`ship confirm SERVICE --image REF@DIGEST`: records the live image as verified, or makes its release live."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.verbs.outcome import add_wait, document_of, show
from deploy.cli.wiring import Wiring
from deploy.run.rollout.deploy import confirm


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--image", required=True, metavar="REF@DIGEST", help="the image that should be live"
    )
    add_wait(parser)
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason for the record")


def run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    """Does nothing if the image is live and verified; rolls back to its release if another one is live."""
    wiring.settings.service(arguments.service)  # refuse a wrong name before connecting anywhere
    # `ship deploy --confirm`, the former spelling, also takes --replicas.
    replicas = getattr(arguments, "replicas", None)
    command = wiring.commands.deploy(
        arguments.service, arguments.image, replicas, why=arguments.why
    )
    command = replace(command, options=("--image", arguments.image))
    outcome = confirm(command, wiring.context(), console.on_event, wait=arguments.wait)
    return document_of(outcome, console)


VERB = Verb(run, _add, show)
