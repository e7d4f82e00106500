"""Parses the JSON files that `ship affected --out` and `ship publish --out` write for later jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.core.ci.selection import Mode
from deploy.errors import UsageError


@dataclass(frozen=True)
class SavedSelection:
    """What a pipeline's later jobs do: services to build and publish, services to deploy by environment.

    `images` are the addresses of the affected images. If `everything` is set, all images are affected.
    """

    reason: str
    services: tuple[str, ...]
    deploys: Mapping[str, tuple[str, ...]]
    images: tuple[str, ...] = ()
    everything: bool = False

    def reaches(self, image: str) -> bool:
        """Returns whether the change affects the image with this address."""
        return self.everything or image in self.images

    @property
    def to_publish(self) -> tuple[str, ...]:
        """The services that the change affects or that an environment lacks."""
        pending = {name for names in self.deploys.values() for name in names}
        return tuple(sorted({*self.services, *pending}))


def read_selection(text: str, file: str) -> SavedSelection:
    """Parses the text of a selection file. Raises UsageError."""
    try:
        document: Mapping[str, Any] = json.loads(text)
        deploys = {name: tuple(map(str, names)) for name, names in document["deploys"].items()}
        return SavedSelection(
            str(document["reason"]),
            tuple(map(str, document["services"])),
            deploys,
            tuple(map(str, document["images"])),
            everything=document["mode"] == Mode.ALL,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{file} is not a selection; nothing was changed",
            hint=f"write one with ./ship affected --out {file}",
        ) from error


@dataclass(frozen=True)
class PublishedImages:
    """Image references by service, and that of the tool for the jobs that deploy, None if nothing is deployed."""

    images: Mapping[str, str]
    tool: str | None = None


def read_published(text: str, file: str) -> PublishedImages:
    """Parses the text of a file of published images. Raises UsageError."""
    try:
        document: Mapping[str, Any] = json.loads(text)
        images = {str(image["service"]): str(image["image"]) for image in document["images"]}
        tool = document.get("tool")
        return PublishedImages(images, str(tool) if tool else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{file} is not a list of published images; nothing was changed",
            hint=f"write one with ./ship publish --selection FILE --out {file}",
        ) from error
