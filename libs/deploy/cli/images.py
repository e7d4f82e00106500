"""`ship build` and `ship publish`: images, by name or all of them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.console import Console
from deploy.cli.verbs import Document, Verb
from deploy.cli.wiring import Wiring


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service", nargs="*", help="services (default: all)")


def _build(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    built = [wiring.build(name) for name in wiring.names(arguments.service)]
    return {
        "images": [
            {
                "service": each.service,
                "id": each.id,
                "size": each.size_bytes,
                "revision": each.revision,
            }
            for each in built
        ]
    }


def _show_built(document: Document) -> str:
    return "\n".join(
        f"{e['service']}: {e['id']} {e['size'] / 1e6:.1f} MB" for e in document["images"]
    )


def _publish(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    names = wiring.names(arguments.service)
    return {"images": [{"service": name, "image": wiring.publish(name)} for name in names]}


def _show_published(document: Document) -> str:
    return "\n".join(each["image"] for each in document["images"])


BUILD = Verb(
    "build",
    "builds the services' images and prints id and size",
    "ship build app",
    _build,
    _add,
    _show_built,
)
PUBLISH = Verb(
    "publish",
    "pushes what the registry lacks and prints name@digest",
    "ship publish app",
    _publish,
    _add,
    _show_published,
)
