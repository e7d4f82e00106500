"""Parses a command line, runs its verb, and prints one document and returns one exit code."""

from __future__ import annotations

import json
import os
import sys
from argparse import SUPPRESS, Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

from deploy.cli.output.console import Console
from deploy.cli.output.event_file import EventFile
from deploy.cli.output.hints import complete
from deploy.cli.reference import Entry, overview, render
from deploy.cli.verb import Verb
from deploy.cli.verbs import (
    affected,
    confirm,
    deploy,
    down,
    e2e,
    exec_,
    history,
    host,
    images,
    logs,
    maintenance,
    monitor,
    pipeline,
    plan,
    promote,
    report,
    revert,
    rollback,
    scale,
    status,
    up,
    watch,
)
from deploy.cli.verbs.outcome import document_of
from deploy.cli.wiring import Wiring, files, set_up
from deploy.core.ci.child_pipeline import render_dotenv
from deploy.core.state.redaction import Redaction
from deploy.errors import ConfigError, ShipError, UsageError
from deploy.run.rollout.deploy import RolloutError

VERBS: tuple[Verb, ...] = (
    up.VERB,
    down.VERB,
    images.BUILD,
    images.PUBLISH,
    affected.VERB,
    plan.VERB,
    deploy.VERB,
    promote.PROMOTE,
    promote.ABORT,
    confirm.VERB,
    rollback.VERB,
    revert.VERB,
    scale.VERB,
    maintenance.VERB,
    status.VERB,
    history.VERB,
    logs.VERB,
    exec_.VERB,
    watch.VERB,
    monitor.VERB,
    report.VERB,
    report.DORA,
    host.VERB,
    pipeline.VERB,
    e2e.VERB,
)


class _PrintReference(Action):
    """Prints docs/cli.md and ends, as --help does."""

    def __call__(self, parser: ArgumentParser, *_: object) -> NoReturn:
        print(render(entries()), end="")
        parser.exit()


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"{self.prog} --help")


def parser() -> ArgumentParser:
    """Makes the parser of all verbs."""
    top, parsers = _parsers()
    top.epilog = overview(_entries(parsers))
    return top


def entries() -> tuple[Entry, ...]:
    """Returns all verbs, those of the toolchain too, as the reference shows them."""
    return _entries(_parsers()[1])


def _entries(parsers: Mapping[str, ArgumentParser]) -> tuple[Entry, ...]:
    own = (
        Entry(verb.group, verb.name, verb.help, verb.example, parsers[verb.name]) for verb in VERBS
    )
    return (*set_up.entries(), *own)


def _parsers() -> tuple[ArgumentParser, Mapping[str, ArgumentParser]]:
    top = _Parser(
        prog="ship",
        usage="ship VERB ... (ship VERB --help explains one)",
        description="Builds, publishes and rolls out the services of this repository.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    top.add_argument("--reference", action=_PrintReference, nargs=0, help=SUPPRESS)
    found = top.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=_Parser, help=SUPPRESS
    )
    parsers = {}
    for verb in VERBS:
        one = found.add_parser(
            verb.name,
            description=verb.help,
            epilog=f"example:\n  {verb.example}",
            formatter_class=RawDescriptionHelpFormatter,
        )
        one.add_argument(
            "--json", action="store_true", help="one JSON document on stdout, nothing else there"
        )
        one.add_argument(
            "--env", default="sandbox", metavar="NAME", help="environment (default: sandbox)"
        )
        one.add_argument(
            "--sandbox",
            default="sandbox",
            metavar="NAME",
            help="another sandbox than the default one",
        )
        one.add_argument(
            "--events", metavar="FILE", help="append each step to FILE as it happens, as JSON lines"
        )
        verb.add(one)
        one.set_defaults(found=verb)
        parsers[verb.name] = one
    return top, parsers


def main(argv: Sequence[str], redaction: Redaction) -> int:
    """Runs one command line; returns its exit code. Every secret that the verb reads is added to `redaction`."""
    console = Console.for_stream(os.environ, redaction)
    as_json = "--json" in argv[: argv.index("--") if "--" in argv else None]
    arguments: Namespace | None = None
    try:
        arguments = parser().parse_args(argv)
        with closing(console):
            document = _run(arguments, console, redaction)
    except KeyboardInterrupt:
        return _fail(
            ShipError(
                "interrupted", hint="run the same command again: it does the remaining steps"
            ),
            arguments,
            as_json,
            console,
        )
    except ShipError as error:
        return _fail(error, arguments, as_json, console)
    _print(document, arguments, as_json)
    return int(document["exit_code"])


def _run(arguments: Namespace, console: Console, redaction: Redaction) -> dict[str, Any]:
    verb: Verb = arguments.found
    if arguments.events:
        console.also = EventFile(Path(arguments.events), console.say, redact=redaction).tell
    with Wiring.here(arguments.env, arguments.sandbox, console.say, redaction) as wiring:
        try:
            document = verb.run(arguments, wiring, console)
        except RolloutError as error:
            # The release was reverted, or a person has to look at it: the pipeline must not revert it.
            _note(arguments, error.end.service, error.end.release, "failed")
            raise
        if hasattr(arguments, "dotenv"):
            _note(arguments, document["service"], document["release"], document["outcome"])
        return {"ok": True, "exit_code": 0, "error": None, **document}


def _note(arguments: Namespace, service: str, release: str, outcome: str) -> None:
    if dotenv := getattr(arguments, "dotenv", None):
        files.write(dotenv, render_dotenv(service, release, outcome))


def _print(document: dict[str, Any], arguments: Namespace, as_json: bool) -> None:
    if as_json:
        print(json.dumps(document))
    elif text := arguments.found.show(document):
        print(_completed(text, arguments))


def _completed(text: str, arguments: Namespace | None) -> str:
    return complete(text, arguments, {verb.name for verb in VERBS}) if arguments else text


def _fail(error: ShipError, arguments: Namespace | None, as_json: bool, console: Console) -> int:
    hint = _completed(error.hint, arguments)
    problems = error.problems if isinstance(error, ConfigError) else ()
    for line in (f"error: {error.message}", *(f"  {problem}" for problem in problems)):
        print(line, file=sys.stderr)
    if hint:
        print(f"next: {hint}", file=sys.stderr)
    if as_json:
        print(json.dumps(failed(error, hint, console)))
    return error.exit_code


def failed(error: ShipError, hint: str, console: Console) -> dict[str, Any]:
    """Returns the JSON document of a failed command."""
    described: dict[str, Any] = {
        "type": type(error).__name__,
        "message": error.message,
        "hint": hint,
    }
    if isinstance(error, ConfigError) and error.problems:
        described["problems"] = list(error.problems)
    document: dict[str, Any] = {"ok": False, "exit_code": error.exit_code, "error": described}
    if isinstance(error, RolloutError):
        return {**document, **document_of(error.end, console)}
    return document | ({"steps": console.steps} if console.steps else {})
