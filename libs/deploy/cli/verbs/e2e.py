"""`ship e2e SERVICE --release ID`: runs the browser journeys against a held candidate."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import ROOT, Wiring, files
from deploy.errors import JourneysFailedError
from deploy.run.queries.candidate import require_candidate


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--release",
        required=True,
        metavar="ID",
        help="the candidate, as `deploy --hold` printed it",
    )
    parser.add_argument(
        "--keep",
        default="",
        metavar="FOLDER",
        help="folder for screenshots and traces (default: dist/e2e/SERVICE)",
    )


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    service, release = wiring.settings.service(arguments.service), arguments.release
    port = wiring.settings.environment().edge.preview_port
    require_candidate(wiring.connections.hosts(), service, release, preview_port=port)
    document = {"service": service.name, "release": release, "journeys": service.journeys or None}
    if not service.journeys:
        console.say(
            f"{service.name} has no journeys: checked only that every host's preview route answers"
        )
        return document
    kept = arguments.keep or files.evidence(service.name)
    keep = Path(kept).absolute() if arguments.keep else ROOT / kept
    journeys = wiring.journeys(service.journeys, keep)
    # Every host runs the same image and configuration, so testing one is enough.
    with (
        wiring.connections.preview() as url,
        console.doing(f"{service.name}: the journeys against {release}", usually="15 s"),
    ):
        passed = journeys.run(url, release=release, replicas=service.replicas)
    if not passed:
        raise JourneysFailedError(
            f"the journeys of {service.name} failed against {release}; the live release still serves",
            hint=f"screenshots and traces are in {kept}; ./ship abort {service.name} --release {release}",
        )
    return document


def _show(document: Document) -> str:
    tried = "passed its journeys" if document["journeys"] else "answers"
    return f"{document['service']}: {document['release']} {tried} on the preview route"


VERB = Verb(_run, _add, _show)
