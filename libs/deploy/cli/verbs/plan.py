"""`ship plan SERVICE`: the steps a deploy would take; changes nothing."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Group, Verb
from deploy.cli.wiring import Wiring
from deploy.core.planning.step_lines import describe
from deploy.core.planning.steps import name_of
from deploy.run.rollout.deploy import plan


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--image",
        metavar="REF@DIGEST",
        help="an image that is published (default: build this checkout)",
    )
    parser.add_argument("--replicas", type=int, metavar="N", help="replicas on each host")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    request = wiring.requests.deploy(
        arguments.service, arguments.image, arguments.replicas, push=False
    )
    found = plan(request, wiring.context())
    steps = [
        {
            "host": step.host,
            "phase": phase.name,
            "step": name_of(step),
            "because": step.because,
            "line": describe(step),
        }
        for phase in found.phases
        for step in phase.steps
    ]
    release = found.release.id if found.release else None
    return {
        "service": found.service,
        "release": release,
        "previous": found.previous or None,
        "steps": steps,
        "lines": list(found.lines()),
    }


def _show(document: Document) -> str:
    return "\n".join(document["lines"]) or "nothing to do"


VERB = Verb(
    Group.DEPLOY,
    "plan",
    "shows the steps a deploy would take, with their causes",
    "ship plan app",
    _run,
    _add,
    _show,
)
