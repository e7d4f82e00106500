"""`ship plan SERVICE`: the steps that a deploy would take."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.core.planning.steps import describe, name_of
from deploy.run.rollout.deploy import plan


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--image",
        metavar="REF@DIGEST",
        help="a published image (default: build this checkout)",
    )
    parser.add_argument("--replicas", type=int, metavar="N", help="replicas on each host")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    command = wiring.commands.deploy(
        arguments.service, arguments.image, arguments.replicas, push=False
    )
    found = plan(command, wiring.context())
    steps = [
        {
            "host": step.host,
            "phase": phase.name,
            "step": name_of(step),
            "because": step.because or "",
            "line": describe(step),
        }
        for phase in found.phases
        for step in phase.steps
    ]
    release = found.release.id if found.release else None
    return {
        "service": found.service,
        "release": release,
        "previous": found.previous,
        "steps": steps,
        "lines": list(found.lines()),
    }


def _show(document: Document) -> str:
    return "\n".join(document["lines"]) or "nothing to do"


VERB = Verb(_run, _add, _show)
