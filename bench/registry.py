"""What an image weighs in a registry, layer by layer, from its manifest; it changes nothing there."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json,"
    "application/vnd.oci.image.manifest.v1+json"
)


@dataclass(frozen=True)
class Account:
    """A registry at `address` (host:port) and the way in; `ca` is its authority's file."""

    address: str
    user: str
    password: str
    ca: str

    def blobs(self, repository: str, reference: str) -> dict[str, int]:
        """Returns the compressed size of each blob of an image, its config included, by digest."""
        manifest = self._manifest(repository, reference)
        return {
            each["digest"]: int(each["size"]) for each in [manifest["config"], *manifest["layers"]]
        }

    def _manifest(self, repository: str, reference: str) -> dict[str, Any]:
        login = b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = Request(
            f"https://{self.address}/v2/{repository}/manifests/{reference}",
            headers={"Accept": MANIFESTS, "Authorization": f"Basic {login}"},
        )
        context = ssl.create_default_context(cafile=self.ca)
        with urlopen(request, context=context, timeout=30) as answer:  # noqa: S310 - https
            manifest: dict[str, Any] = json.load(answer)
        return manifest


def pushed(before: dict[str, int], after: dict[str, int]) -> int:
    """Returns how many bytes of `after` a registry that has `before` must be sent."""
    return sum(size for digest, size in after.items() if digest not in before)
