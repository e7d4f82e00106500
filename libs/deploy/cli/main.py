"""Parses a command line, runs its verb, and prints one document and returns one exit code.

A help text needs none of the libraries that verbs use, so those are imported once a verb runs.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import SUPPRESS, Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from deploy.cli.output.hints import complete
from deploy.cli.reference import overview, render
from deploy.cli.verbs import TOOLCHAIN_VERBS, VERBS
from deploy.core.state.redaction import Redaction
from deploy.errors import ConfigError, ShipError, UsageError

if TYPE_CHECKING:
    from deploy.cli.output.console import Console
    from deploy.cli.verb import Verb, VerbEntry
    from deploy.run.rollout.deploy import Result

ALL_VERBS = (*TOOLCHAIN_VERBS, *VERBS)


class _PrintReference(Action):
    """Prints docs/cli.md and ends, as --help does."""

    def __call__(self, parser: ArgumentParser, *_: object) -> NoReturn:
        print(reference(), end="")
        parser.exit()


class _WriteConfigReferences(Action):
    """Writes the references of configuration files into the checkout, and ends."""

    def __call__(self, parser: ArgumentParser, *_: object) -> NoReturn:
        from deploy.cli.wiring.config_reference import write

        write()
        parser.exit()


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"{self.prog} --help")


class _VerbParser(_Parser):
    """The parser of one verb, which is imported when its command line is parsed."""

    entry: VerbEntry
    loaded = False

    def load(self) -> None:
        """Imports the verb and adds its arguments."""
        if not self.loaded:
            self.loaded = True
            verb = self.entry.load()
            verb.add(self)
            self.set_defaults(found=verb)

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        self.load()
        return super().parse_known_args(*args, **kwargs)


def parser() -> ArgumentParser:
    """Makes the parser of all verbs."""
    return _parsers()[0]


def reference() -> str:
    """Returns docs/cli.md, with the toolchain's verbs too."""
    return render(ALL_VERBS, verb_parsers())


def verb_parsers() -> Mapping[str, ArgumentParser]:
    """Returns the parsers of all verbs, with the toolchain's, by verb."""
    from deploy.cli.wiring import set_up

    parsers = _parsers()[1]
    for parser in parsers.values():
        parser.load()
    return {**set_up.parsers(), **parsers}


def _parsers() -> tuple[ArgumentParser, Mapping[str, _VerbParser]]:
    top = _Parser(
        prog="ship",
        usage="ship VERB ... (ship VERB --help explains one)",
        description="Builds, publishes and rolls out the services of this repository.",
        formatter_class=RawDescriptionHelpFormatter,
        epilog=overview(ALL_VERBS),
    )
    top.add_argument("--reference", action=_PrintReference, nargs=0, help=SUPPRESS)
    top.add_argument("--config-references", action=_WriteConfigReferences, nargs=0, help=SUPPRESS)
    found = top.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=_VerbParser, help=SUPPRESS
    )
    parsers = {}
    for entry in VERBS:
        one = found.add_parser(
            entry.name,
            description=entry.help,
            epilog=f"example:\n  {entry.example}",
            formatter_class=RawDescriptionHelpFormatter,
        )
        one.entry = entry
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
            "-v",
            "--verbose",
            action="store_true",
            help="show details, such as the gate's statistics",
        )
        one.add_argument(
            "--events", metavar="FILE", help="append each step to FILE as it happens, as JSON lines"
        )
        parsers[entry.name] = one
    return top, parsers


def main(argv: Sequence[str], redaction: Redaction) -> int:
    """Runs one command line; returns its exit code. Every secret that the verb reads is added to `redaction`.

    Without a verb, it says what to do next.
    """
    argv = argv or ["next"]
    as_json = "--json" in argv[: argv.index("--") if "--" in argv else None]
    arguments: Namespace | None = None
    console: Console | None = None
    try:
        arguments = parser().parse_args(argv)
        console = _console(redaction)
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


def _console(redaction: Redaction) -> Console:
    from deploy.cli.output.console import Console

    return Console.for_stream(os.environ, redaction)


def _run(arguments: Namespace, console: Console, redaction: Redaction) -> dict[str, Any]:
    from deploy.cli.wiring import Wiring

    verb: Verb = arguments.found
    console.verbose = arguments.verbose
    if arguments.events:
        from deploy.cli.output.event_file import EventFile

        console.first_listener = EventFile(
            Path(arguments.events), console.say, redact=redaction
        ).on_event
    with Wiring.here(arguments.env, arguments.sandbox, console.say, redaction) as wiring:
        try:
            document = verb.run(arguments, wiring, console)
        except ShipError as error:
            if result := _result_of(error):
                # The release was reverted, or a person has to look at it: the pipeline must not revert it.
                _note(arguments, result.service, result.release, "failed")
            raise
        if hasattr(arguments, "dotenv"):
            _note(arguments, document["service"], document["release"], document["outcome"])
        return {"ok": True, "exit_code": 0, "error": None, **document}


def _result_of(error: ShipError) -> Result | None:
    """Returns how a rollout ended, None for an error that changed no host."""
    from deploy.run.rollout.deploy import RolloutError

    return error.result if isinstance(error, RolloutError) else None


def _note(arguments: Namespace, service: str, release: str, outcome: str) -> None:
    if dotenv := getattr(arguments, "dotenv", None):
        from deploy.cli.wiring import files
        from deploy.core.ci.child_pipeline import render_dotenv

        files.write(dotenv, render_dotenv(service, release, outcome))


def _print(document: dict[str, Any], arguments: Namespace, as_json: bool) -> None:
    if as_json:
        print(json.dumps(document))
    elif text := arguments.found.show(document):
        print(_completed(text, arguments))


def _completed(text: str, arguments: Namespace | None) -> str:
    return complete(text, arguments, {verb.name for verb in VERBS}) if arguments else text


def _fail(
    error: ShipError, arguments: Namespace | None, as_json: bool, console: Console | None
) -> int:
    hint = _completed(error.hint, arguments)
    problems = error.problems if isinstance(error, ConfigError) else ()
    for line in (f"error: {error.message}", *(f"  {problem}" for problem in problems)):
        print(line, file=sys.stderr)
    if hint:
        print(f"next: {hint}", file=sys.stderr)
    if as_json:
        print(json.dumps(failed(error, hint, console)))
    return error.exit_code


def failed(error: ShipError, hint: str, console: Console | None) -> dict[str, Any]:
    """Returns the JSON document of a failed command."""
    described: dict[str, Any] = {
        "type": type(error).__name__,
        "message": error.message,
        "hint": hint,
    }
    if isinstance(error, ConfigError) and error.problems:
        described["problems"] = list(error.problems)
    document: dict[str, Any] = {"ok": False, "exit_code": error.exit_code, "error": described}
    if console is None:
        return document
    if result := _result_of(error):
        from deploy.cli.verbs.outcome import document_of

        return {**document, **document_of(result, console)}
    return document | ({"steps": console.steps} if console.steps else {})
