"""`ship rollback SERVICE`: returns to the previous release, or to a named one."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.verbs import revert
from deploy.cli.verbs.outcome import add_wait, add_wait_drained, finished, show
from deploy.cli.wiring import Wiring
from deploy.errors import UsageError
from deploy.run.rollout.deploy import rollback


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--to",
        default="",
        metavar="RELEASE",
        help="the release to return to (default: the previous one)",
    )
    parser.add_argument(
        "--release",
        metavar="ID",
        help=SUPPRESS,  # the former spelling of `ship revert`
    )
    add_wait(parser)
    add_wait_drained(parser)
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason for the record")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    if arguments.release is not None:
        if arguments.to:
            raise UsageError("--to and --release exclude each other", hint="leave one out")
        console.say(
            "`ship rollback --release` is now `ship revert`; this form ends with the next version"
        )
        return revert.run(arguments, wiring, console)
    command = wiring.commands.rollback(arguments.service, arguments.to, why=arguments.why)
    context = wiring.context()
    result = rollback(command, context, console.on_event, wait=arguments.wait)
    return finished(result, arguments, context, console)


VERB = Verb(_run, _add, show)
