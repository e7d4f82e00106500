"""`ship watch SERVICE`: watches the requests that users send to the live release.

Without requests the verdict is "inconclusive" and the exit code 0, so that an idle environment fails no pipeline
(docs/gate.md).
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.run.steps.watch import watch_live


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--for",
        dest="watch_s",
        type=float,
        metavar="SECONDS",
        help="how long (default: the service's watch_s)",
    )


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    service = wiring.settings.service(arguments.service)
    if arguments.watch_s is not None:
        service = replace(service, rollout=replace(service.rollout, watch_s=arguments.watch_s))
    console.say(f"watching {service.name} on all hosts for {service.rollout.watch_s:g} s")
    context = wiring.context()
    release, verdict = watch_live(service, context.hosts, context.clock)
    return {
        "service": service.name,
        "release": release,
        "verdict": verdict.outcome,
        "evidence": [result.text for result in verdict.results],
    }


def _show(document: Document) -> str:
    return "\n".join(
        [
            f"{document['service']}: {document['release']} {document['verdict']}",
            *document["evidence"],
        ]
    )


VERB = Verb(_run, _add, _show)
