"""The document and the closing line of the verbs that change a service."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document
from deploy.run.rollout.deploy import DeployContext, Result
from deploy.run.rollout.draining import await_drained


def add_wait(parser: ArgumentParser) -> None:
    """Adds --wait, which every verb that takes the lock has."""
    parser.add_argument("--wait", action="store_true", help="wait for the lock instead of failing")


def add_wait_drained(parser: ArgumentParser) -> None:
    """Adds --wait-drained, which every verb that replaces replicas has."""
    parser.add_argument(
        "--wait-drained",
        action="store_true",
        help="end when the replaced replicas have stopped; without it the hosts stop them afterwards",
    )


def finished(
    result: Result, arguments: Namespace, context: DeployContext, console: Console
) -> Document:
    """Returns the JSON document of an operation, after its drain if --wait-drained was given."""
    if arguments.wait_drained:
        await_drained(context, result, console.on_event)
    return document_of(result, console)


def document_of(result: Result, console: Console) -> Document:
    """Returns the JSON document of deploy and the other verbs that change a service."""
    return {
        "service": result.service,
        "release": result.release,
        "previous": result.previous,
        "outcome": result.outcome,
        "steps": console.steps,
        "seconds": result.seconds,
        "waits": console.waits,
    }


def show(document: Document) -> str:
    """Formats the outcome as one line."""
    name, release, took = document["service"], document["release"], f"({_duration(document)})"
    match document["outcome"]:
        case "unchanged":
            return f"{name}: nothing to do for {release} {took}"
        case "held":
            then = " or ".join(
                f"./ship {verb} {name} --release {release}" for verb in ("promote", "abort")
            )
            return f"{name}: {release} is held {took}; next: {then}"
        case "aborted":
            return f"{name}: {release} was removed {took}"
        case _:
            return f"{name}: {release} is live {took}"


def _duration(document: Document) -> str:
    """Returns how long it took, and apart from that the waits that settings asked for."""
    waits = document["waits"]
    own_s = document["seconds"] - sum(waits.values())
    if not waits:
        return f"{own_s:.1f} s"
    kinds = ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in waits.items())
    return f"{own_s:.1f} s, and {sum(waits.values()):.1f} s that settings ask for: {kinds}"
