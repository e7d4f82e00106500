"""`ship completion SHELL`: prints the script that completes `ship` in bash, zsh or fish."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.completion import SHELLS, candidates, option_value, script
from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring

WORDS = "words"


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "shell",
        choices=(*SHELLS, WORDS),
        help='the script to evaluate: `eval "$(./ship completion bash)"`; `words` is what the scripts call',
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="for `words`: the command line")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    if arguments.shell != WORDS:
        return {"shell": arguments.shell, "script": script(arguments.shell)}
    from deploy.cli.main import ALL_VERBS, verb_parsers  # it knows all verbs, and this is one

    words = arguments.words or [""]
    environment = option_value(words, "--env", "sandbox")
    sandbox = option_value(words, "--sandbox", "sandbox")
    with wiring.names(environment, sandbox) as names:
        verbs = {entry.name: entry.help for entry in ALL_VERBS}
        found = candidates(words, verbs, verb_parsers(), names)
    return {"candidates": [{"word": each.word, "help": each.help} for each in found]}


def _show(document: Document) -> str:
    if "script" in document:
        return str(document["script"]).rstrip()
    return "\n".join(f"{each['word']}\t{each['help']}" for each in document["candidates"])


VERB = Verb(_run, _add, _show)
