"""Reads what `ship affected --out` and `ship publish --out` wrote for later jobs; never opens a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.errors import UsageError


@dataclass(frozen=True)
class Selected:
    """What a pipeline's later jobs do: services to build and publish, services to deploy by environment.

    `images` are the addresses of all images that the change reaches, where it isn't `everything`.
    """

    reason: str
    services: tuple[str, ...]
    deploys: Mapping[str, tuple[str, ...]]
    images: tuple[str, ...] = ()
    everything: bool = False

    def reaches(self, image: str) -> bool:
        """Whether the change may make another image of this address."""
        return self.everything or image in self.images

    @property
    def to_publish(self) -> tuple[str, ...]:
        """What the change reaches and what an environment lacks."""
        due = {name for names in self.deploys.values() for name in names}
        return tuple(sorted({*self.services, *due}))


def read_selection(text: str, where: str) -> Selected:
    """Reads a selection. Raises UsageError."""
    try:
        said: Mapping[str, Any] = json.loads(text)
        deploys = {name: tuple(map(str, found)) for name, found in said["deploys"].items()}
        return Selected(
            str(said["reason"]),
            tuple(map(str, said["services"])),
            deploys,
            tuple(map(str, said["images"])),
            everything=said["mode"] == "all",
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{where} is no selection; nothing was done", hint=f"./ship affected --out {where}"
        ) from error


@dataclass(frozen=True)
class Published:
    """Images by service, and the one of the tool that deploys them, "" where nothing is to be deployed."""

    images: Mapping[str, str]
    tool: str = ""


def read_published(text: str, where: str) -> Published:
    """Reads what was published. Raises UsageError."""
    try:
        said: Mapping[str, Any] = json.loads(text)
        images = {str(each["service"]): str(each["image"]) for each in said["images"]}
        return Published(images, str(said.get("tool", "")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{where} is no list of published images; nothing was done",
            hint=f"./ship publish --selection FILE --out {where}",
        ) from error
