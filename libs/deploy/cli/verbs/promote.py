"""`ship promote` and `ship abort`: switch to a held candidate, or remove it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.verbs.outcome import (
    add_wait,
    add_wait_drained,
    document_of,
    finished,
    show,
)
from deploy.cli.wiring import Wiring
from deploy.run.rollout.deploy import abort, promote


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--release",
        required=True,
        metavar="ID",
        help="the candidate, as `deploy --hold` printed it",
    )
    add_wait(parser)
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason for the record")


def _add_promote(parser: ArgumentParser) -> None:
    _add(parser)
    add_wait_drained(parser)


def _promote(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    command = wiring.commands.promote(arguments.service, arguments.release, why=arguments.why)
    context = wiring.context()
    result = promote(command, context, console.on_event, wait=arguments.wait)
    return finished(result, arguments, context, console)


def _abort(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    command = wiring.commands.abort(arguments.service, arguments.release, why=arguments.why)
    return document_of(
        abort(command, wiring.context(), console.on_event, wait=arguments.wait), console
    )


PROMOTE = Verb(_promote, _add_promote, show)
ABORT = Verb(_abort, _add, show)
