"""`ship rollback SERVICE`: back to the release before, or to a named one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.verbs.outcome import add_wait, document_of, show
from deploy.cli.wiring import Wiring
from deploy.errors import UsageError
from deploy.run.rollout.deploy import rollback
from deploy.run.rollout.revert import take_back


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--to", default="", metavar="RELEASE", help="a release (default: the one before)"
    )
    parser.add_argument(
        "--release",
        metavar="ID",
        help="take back this release alone, held or live; nothing where it is neither, or empty",
    )
    add_wait(parser)
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason for the record")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    if arguments.release is not None:
        if arguments.to:
            raise UsageError("--to and --release exclude each other", hint="leave one out")
        outcome = take_back(
            wiring.settings.service(arguments.service),
            wiring.requests.origin(arguments.why),
            arguments.release,
            wiring.context(),
            console.tell,
            wiring.requests.pipeline,
        )
        return document_of(outcome, console)
    request = wiring.requests.rollback(arguments.service, arguments.to, why=arguments.why)
    return document_of(
        rollback(request, wiring.context(), console.tell, wait=arguments.wait), console
    )


VERB = Verb(
    "rollback",
    "brings back an older release: image, config, env, route and edge together",
    "ship rollback app --to r000041-3f9c2ab",
    _run,
    _add,
    show,
)
