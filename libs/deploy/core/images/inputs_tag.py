"""Names an image by what it is made of, before it is built; never says that two such names are two images.

An image's own tag is its id, which only a build finds out. This second tag of the same image lets a machine that never
built it find it in the registry: more files than needed stand in it, so what it costs is a build too many, and never
an image too old.
"""

from __future__ import annotations

import hashlib
import json

from deploy.core.config import Service
from deploy.core.images.oci import Stamp

# Raised whenever libs/deploy makes another image of the same files.
FORMAT = 1
BUILD = (
    "pants.toml",
    "3rdparty/python/default.lock",
    "3rdparty/python/tools/pants.lock",
    "3rdparty/python/tools/pex.lock",
)
"""What decides how files become an image, beside them: Pants, Pex, the base by its key, all pins."""


def inputs_tag(service: Service, stamp: Stamp, committed: str) -> str:
    """Returns the tag of a service's image; `committed` names the content of its files and of `BUILD`."""
    told = [FORMAT, service.name, service.image, service.source, stamp.revision, committed]
    return f"inputs-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]}"
