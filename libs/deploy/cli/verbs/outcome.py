"""The document and the closing line of the verbs that change a service."""

from __future__ import annotations

from argparse import ArgumentParser

from deploy.cli.output.console import Console
from deploy.cli.verb import Document
from deploy.run.rollout.deploy import Outcome


def add_wait(parser: ArgumentParser) -> None:
    """Adds --wait, which every verb that takes the lock has."""
    parser.add_argument("--wait", action="store_true", help="wait for the lock instead of failing")


def document_of(outcome: Outcome, console: Console) -> Document:
    """Returns the JSON document of deploy and the other verbs that change a service."""
    return {
        "service": outcome.service,
        "release": outcome.release,
        "previous": outcome.previous or None,
        "outcome": outcome.outcome,
        "steps": console.steps,
        "seconds": outcome.seconds,
    }


def show(document: Document) -> str:
    """Formats the outcome as one line."""
    name, release, took = document["service"], document["release"], f"({document['seconds']:.1f} s)"
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
