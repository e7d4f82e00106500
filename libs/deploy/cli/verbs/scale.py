"""`ship scale SERVICE=N`: runs N replicas of the live release on each host."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.verbs.outcome import add_wait, add_wait_drained, finished, show
from deploy.cli.wiring import Wiring
from deploy.core.state.release import MOST_REPLICAS
from deploy.errors import UsageError
from deploy.run.rollout.deploy import scale


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="SERVICE=N", help="the service, and how many replicas on each host"
    )
    add_wait(parser)
    add_wait_drained(parser)
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason for the record")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    name, _, count = arguments.target.partition("=")
    if not count.isdecimal() or not 1 <= int(count) <= MOST_REPLICAS:
        raise UsageError(
            f"{arguments.target!r} is not SERVICE=N; nothing was changed",
            hint=f"./ship scale {name or 'SERVICE'}=N, with N from 1 to {MOST_REPLICAS}",
        )
    command = wiring.commands.scale(name, int(count), why=arguments.why)
    context = wiring.context()
    result = scale(command, context, console.on_event, wait=arguments.wait)
    return finished(result, arguments, context, console)


VERB = Verb(_run, _add, show)
