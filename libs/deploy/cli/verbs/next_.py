"""`ship next`, or `ship` alone: says what to do next, from the state that it finds."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.core.reports.next_step import NextStep, next_steps
from deploy.run.queries.status import status
from sandbox import state


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    return {"next": [asdict(step) for step in _steps(arguments, wiring, console)]}


def _steps(arguments: Namespace, wiring: Wiring, console: Console) -> list[NextStep]:
    is_sandbox, name = arguments.env == "sandbox", arguments.sandbox
    if is_sandbox and state.path(name) is None:
        why = "its creation was interrupted" if name in state.names() else "it doesn't exist yet"
        return [NextStep(f"sandbox {name}: {why}", "./ship up")]
    settings = wiring.settings
    services = tuple(settings.service(each) for each in settings.names([]))
    with console.doing("looking at the hosts"):
        found = status(settings.environment(), wiring.connections.hosts(), services)
    checkout = wiring.checkout
    return next_steps(found, revision=checkout.revision, dirty=checkout.dirty, sandbox=is_sandbox)


def _show(document: Document) -> str:
    steps = document["next"]
    width = max(len(step["command"]) for step in steps)
    reasons = dict.fromkeys(step["why"] for step in steps)
    if len(reasons) == 1:
        lines = [next(iter(reasons)), *(f"next: {step['command']}" for step in steps)]
    else:
        lines = [f"next: {step['command']:<{width}}  {step['why']}" for step in steps]
    return "\n".join([*lines, "all verbs: ./ship --help"])


VERB = Verb(_run, show=_show)
