"""`ship affected`: what a change reaches, each with why; changes nothing."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from deploy.cli.console import Console
from deploy.cli.verbs import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.core.selection import GOALS
from deploy.run.affected import affected, require_none_missed


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--base",
        metavar="REF",
        help="measure against where HEAD left REF (default: what the pipeline says, else origin's default branch)",
    )
    parser.add_argument(
        "--missed",
        metavar="REPORTS",
        help="exit 1 if a test failed in these reports of a full run that would not have been selected",
    )


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    selection = affected(wiring.grounds(), arguments.base)
    if selection.mode == "changed":
        # The document names services and images alone: why they are in it is said beside it.
        for kind, found in (("service", selection.services), ("image", selection.images)):
            for each in found:
                console.say(f"{kind} {each.name}: {_way(each.why)}")
    if arguments.missed:
        require_none_missed(selection, wiring.failed_reports(arguments.missed))
    return selection.document()


def _show(document: Document) -> str:
    targets = document["targets"]
    lines = [
        f"base: {document['base'] or 'none'}",
        f"{document['mode']}: {document['reason']}",
    ]
    if document["mode"] == "all":
        lines.append(f"{', '.join(GOALS)}: every target")
        targets = []
    for goal in GOALS:
        found = [each for each in targets if each["goal"] == goal]
        lines += [f"{goal}: {len(found)}"] if found else []
        lines += [f"  {each['address']}: {_way(each['why'])}" for each in found]
    if not document["targets"]:
        lines.append("nothing to lint, check, test or package")
    for kind in ("services", "images"):
        lines.append(f"{kind}: {', '.join(document[kind]) or 'none'}")
    return "\n".join(lines)


def _way(why: Sequence[str]) -> str:
    return " -> ".join(why)


VERB = Verb(
    "affected",
    "says what a change reaches: targets, services and images, each with why",
    "ship affected --base main --json",
    _run,
    _add,
    _show,
)
