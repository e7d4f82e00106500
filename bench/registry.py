"""Reads from an image's manifest how large its blobs are in a registry."""

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
class RegistryAccount:
    """A registry at `address` (host:port), the login and the file of its certificate authority."""

    address: str
    user: str
    password: str
    ca: str

    def blobs(self, repository: str, reference: str) -> dict[str, int]:
        """Returns the compressed size in bytes of each blob of an image, including its config, by digest."""
        manifest = self._manifest(repository, reference)
        return {
            blob["digest"]: int(blob["size"]) for blob in [manifest["config"], *manifest["layers"]]
        }

    def _manifest(self, repository: str, reference: str) -> dict[str, Any]:
        login = b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = Request(
            f"https://{self.address}/v2/{repository}/manifests/{reference}",
            headers={"Accept": MANIFESTS, "Authorization": f"Basic {login}"},
        )
        context = ssl.create_default_context(cafile=self.ca)
        with urlopen(request, context=context, timeout=30) as response:  # noqa: S310 - https
            manifest: dict[str, Any] = json.load(response)
        return manifest


def pushed(before: dict[str, int], after: dict[str, int]) -> int:
    """Returns how many bytes a push of `after` sends to a registry that has `before`."""
    return sum(size for digest, size in after.items() if digest not in before)
