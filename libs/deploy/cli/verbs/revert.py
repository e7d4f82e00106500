"""`ship revert SERVICE --release ID`: undoes one release, whether it is held or live."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.verbs.outcome import document_of, show
from deploy.cli.wiring import Wiring
from deploy.run.rollout.deploy import revert


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--release",
        required=True,
        metavar="ID",
        help="the release to revert; does nothing if it is neither held nor live, or if ID is empty",
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason for the record")


def run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    """Aborts the release if it is held, rolls back to the one before it if it is live."""
    result = revert(
        wiring.settings.service(arguments.service),
        wiring.commands.origin(arguments.why),
        arguments.release,
        wiring.context(),
        console.on_event,
        wiring.commands.pipeline,
    )
    return document_of(result, console)


VERB = Verb(run, _add, show)
