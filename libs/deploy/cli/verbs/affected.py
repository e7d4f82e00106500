"""`ship affected`: what a change reaches, and why."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring, files
from deploy.core.ci.selection import GOALS
from deploy.errors import UsageError
from deploy.run.affected import affected, recorded, require_none_missed


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--base",
        metavar="REF",
        help="compare with the merge base of HEAD and REF (default: the pipeline's base, else origin's default branch)",
    )
    parser.add_argument(
        "--since",
        metavar="ENV",
        help="compare with the last revision that GitLab recorded as deployed to ENV, such as nightly",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write the JSON document to a file, for --selection"
    )
    parser.add_argument(
        "--missed",
        metavar="REPORTS",
        help="exit 1 if these reports of a full run contain a failed test that the selection leaves out",
    )


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    context = wiring.selection_context()
    base = arguments.base
    if arguments.since:
        if base is not None:
            raise UsageError("--base and --since exclude each other", hint="leave one out")
        base = recorded(context, arguments.since)
    selection = affected(context, base)
    if selection.mode == "changed":
        # The document lists services and images by name only; their reasons go to stderr.
        for kind, found in (("service", selection.services), ("image", selection.images)):
            for selected in found:
                console.say(f"{kind} {selected.name}: {_chain(selected.why)}")
    document = selection.document()
    if arguments.out:
        files.write(arguments.out, json.dumps(document, indent=2) + "\n")
    if arguments.missed:
        require_none_missed(selection, files.failed_reports(arguments.missed))
    return document


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
        found = [target for target in targets if target["goal"] == goal]
        lines += [f"{goal}: {len(found)}"] if found else []
        lines += [f"  {target['address']}: {_chain(target['why'])}" for target in found]
    if not document["targets"]:
        lines.append("nothing to lint, check, test or package")
    for kind in ("services", "images"):
        lines.append(f"{kind}: {', '.join(document[kind]) or 'none'}")
    for where, names in document["deploys"].items():
        lines.append(f"due in {where}: {', '.join(names) or 'nothing'}")
    return "\n".join(lines)


def _chain(why: Sequence[str]) -> str:
    return " -> ".join(why)


VERB = Verb(_run, _add, _show)
