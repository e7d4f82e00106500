"""`ship promote` and `ship abort`: what becomes of a candidate that `ship deploy --hold` left."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Group, Verb
from deploy.cli.verbs.outcome import add_wait, document_of, show
from deploy.cli.wiring import Wiring
from deploy.run.rollout.deploy import abort, promote


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--release", required=True, metavar="ID", help="the candidate, as `deploy --hold` told it"
    )
    add_wait(parser)
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason for the record")


def _promote(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    request = wiring.requests.promotion(arguments.service, arguments.release, why=arguments.why)
    return document_of(
        promote(request, wiring.context(), console.tell, wait=arguments.wait), console
    )


def _abort(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    request = wiring.requests.abort(arguments.service, arguments.release, why=arguments.why)
    return document_of(abort(request, wiring.context(), console.tell, wait=arguments.wait), console)


PROMOTE = Verb(
    Group.DEPLOY,
    "promote",
    "switches to the candidate that `deploy --hold` left",
    "ship promote app --release r000042-3f9c2ab",
    _promote,
    _add,
    show,
)
ABORT = Verb(
    Group.DEPLOY,
    "abort",
    "removes the candidate that `deploy --hold` left",
    "ship abort app --release r000042-3f9c2ab",
    _abort,
    _add,
    show,
)
