"""`ship config show SERVICE`: what the configuration comes to, and from which file each value is."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.core.toml_text import write_value


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("what", choices=("show",))
    parser.add_argument("service")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    del console
    found = wiring.settings.sources(arguments.service)
    return {
        "service": arguments.service,
        "environment": wiring.settings.environment().name,
        "settings": [asdict(setting) for setting in found],
    }


def _show(document: Document) -> str:
    rows = [
        (f"{each['key']} = {write_value(each['value'])}", each["source"])
        for each in document["settings"]
    ]
    width = min(max(len(text) for text, _ in rows), 60)
    return "\n".join(f"{text:<{width}}  # {source}" for text, source in rows)


VERB = Verb(_run, _add, _show)
