"""`ship build` and `ship publish`: images, by name or all of them."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring, files
from deploy.errors import UsageError

TOOL = "ship"
"""The job image that contains this tool, for the jobs that deploy."""


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "service",
        nargs="*",
        help="services (default: all), or an image for pipeline jobs: `job`, or `ship` for the jobs that deploy",
    )
    parser.add_argument(
        "--selection",
        metavar="FILE",
        help="only the services in this output of `ship affected --out`",
    )


def _add_out(parser: ArgumentParser) -> None:
    _add(parser)
    parser.add_argument(
        "--out", metavar="FILE", help="write the JSON document to a file, for ship pipeline"
    )


def _names(arguments: Namespace, wiring: Wiring) -> list[str]:
    if arguments.service and set(arguments.service) <= set(wiring.settings.job_images):
        return list(arguments.service)
    if not arguments.selection:
        return wiring.settings.names(arguments.service)
    if arguments.service:
        raise UsageError("SERVICE and --selection exclude each other", hint="leave one out")
    names = files.selection(arguments.selection).to_publish
    return wiring.settings.names(names) if names else []


def _build(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    names = _names(arguments, wiring)
    tool = wiring.settings.job_images[TOOL]
    if arguments.selection and files.selection(arguments.selection).reaches(tool.target):
        names = [*names, TOOL]  # a merge request that breaks the tool's image shows it
    wiring.images.keeps_record = False  # they are this command's, not a sandbox's
    built = [wiring.images.build(name) for name in names]
    return {
        "images": [
            {
                "service": image.service,
                "id": image.id,
                "size": image.size_bytes,
                "revision": image.revision,
            }
            for image in built
        ]
    }


def _show_built(document: Document) -> str:
    lines = [f"{e['service']}: {e['id']} {e['size'] / 1e6:.1f} MB" for e in document["images"]]
    return "\n".join(lines) or "nothing to build: the change reaches no image"


def _publish(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    names = _names(arguments, wiring)
    if names and not set(names) <= set(wiring.settings.job_images):
        wiring.images.publish_stacks()
    document: Document = {
        "images": [{"service": name, "image": wiring.images.publish(name)} for name in names]
    }
    if names and arguments.selection:  # the pipeline deploys them with the tool of this revision
        document = {**document, "tool": wiring.images.publish(TOOL)}
    if arguments.out:
        files.write(arguments.out, json.dumps(document, indent=2) + "\n")
    return document


def _show_published(document: Document) -> str:
    lines = [published["image"] for published in document["images"]]
    return "\n".join(lines) or "nothing to publish: the change reaches no service"


BUILD = Verb(_build, _add, _show_built)
PUBLISH = Verb(_publish, _add_out, _show_published)
