"""Computes a second tag of an image from its inputs, before it is built.

An image's own tag is its id, which is known only after a build. With this tag a machine that never built the image
finds it in the registry. It covers more files than needed: that may cost a build too many, but never returns an old
image.
"""

from __future__ import annotations

import hashlib
import json

from deploy.core.config import Service
from deploy.core.images.oci import Stamp

# Raise this when libs/deploy makes another image of the same files.
FORMAT = 1
BUILD = (
    "pants.toml",
    "3rdparty/python/default.lock",
    "3rdparty/python/tools/pants.lock",
    "3rdparty/python/tools/pex.lock",
)
"""Files that decide how inputs become an image: Pants, Pex, the base image's key, all pins."""


def inputs_tag(service: Service, stamp: Stamp, committed: str) -> str:
    """Returns the inputs tag of a service's image; `committed` is the hash of its files and of `BUILD`."""
    inputs = [FORMAT, service.name, service.image, service.source, stamp.revision, committed]
    return f"inputs-{hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]}"
