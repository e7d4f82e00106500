"""`ship demo`: tells in a few minutes what a deploy does, on a sandbox of its own."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.errors import DemoError, UsageError


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="install what is missing without asking")
    parser.add_argument(
        "--keep", action="store_true", help="leave its sandbox, SANDBOX-demo, to look around"
    )
    parser.add_argument(
        "--record", default="", metavar="FILE", help="write the recording that README shows (SVG)"
    )


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    if arguments.env != "sandbox":
        raise UsageError("`ship demo` makes a sandbox of its own", hint="./ship demo")
    name = f"{arguments.sandbox}-demo"
    options = [
        *(["--keep"] if arguments.keep else []),
        *(["--record", str(Path(arguments.record).absolute())] if arguments.record else []),
    ]
    told = wiring.tell_demo(name, options)
    if problem := told["problem"]:
        raise DemoError(
            f"the demo did not go as told: {problem}",
            hint="./ship doctor, then ./ship demo again",
        )
    return {"sandbox": name, **told}


def _show(document: Document) -> str:
    return (
        f"{document['requests']} requests of users, {document['lost']} lost,"
        f" in {document['seconds']:.0f} s"
    )


VERB = Verb(_run, _add, _show)
