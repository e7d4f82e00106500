"""Keeps the ECR control plane truthful about what the registry holds; never invents an image.

ECR is one service with two faces; here they are two servers. So whoever asks the control plane about images is
answered after a look at the registry, and what is deleted there is deleted in the registry too.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from sandbox.credentials import REGISTRY_PASSWORD, REGISTRY_USER

TIMEOUT_S = 10
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)

log = logging.getLogger(__name__)


class Mirror:
    """Carries images from the registry at `url` into moto's `backend`."""

    def __init__(self, url: str, authority: str, backend: Any) -> None:
        self._url = url
        self._backend = backend
        self._http = requests.Session()
        self._http.verify = authority
        self._http.auth = (REGISTRY_USER, REGISTRY_PASSWORD)
        # Neither a proxy nor a CA of the user's environment has a say about our own registry.
        self._http.trust_env = False

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def refresh(self, repository: str) -> None:
        """Tells the control plane of every tag that it doesn't know; a registry that is away changes nothing."""
        known = self._backend.repositories.get(repository)
        if known is None:
            return
        tags = {tag for image in known.images for tag in image.image_tags}
        try:
            for tag in self._tags(repository):
                if tag not in tags:
                    self._carry(repository, tag)
        except requests.RequestException as error:
            log.warning("the registry did not answer about %s: %s", repository, error)

    def has(self, repository: str) -> bool:
        """Returns whether the control plane knows a repository."""
        return repository in self._backend.repositories

    def is_immutable(self, repository: str) -> bool:
        """Returns whether a known repository's tags stay where they are."""
        return bool(self._backend.repositories[repository].is_tag_immutable())

    def digest_of(self, repository: str, tag: str) -> str | None:
        """Returns the digest that the control plane knows under a tag, None if it knows none."""
        known = self._backend.repositories.get(repository)
        images = known.images if known else []
        return next((image.image_digest for image in images if tag in image.image_tags), None)

    @contextmanager
    def deleting(self, repository: str) -> Iterator[None]:
        """Around what deletes images in the control plane: deletes the same ones in the registry."""
        before = self._digests(repository)
        yield
        for digest in before - self._digests(repository):
            self._http.delete(f"{self._url}/v2/{repository}/manifests/{digest}", timeout=TIMEOUT_S)

    def _digests(self, repository: str) -> set[str]:
        known = self._backend.repositories.get(repository)
        return {image.image_digest for image in known.images} if known else set()

    def _tags(self, repository: str) -> list[str]:
        answer = self._http.get(f"{self._url}/v2/{repository}/tags/list", timeout=TIMEOUT_S)
        if answer.status_code == requests.codes.not_found:
            return []
        answer.raise_for_status()
        # null, not an empty list, once the last tag is gone
        return sorted(answer.json()["tags"] or [])

    def _carry(self, repository: str, tag: str) -> None:
        answer = self._http.get(
            f"{self._url}/v2/{repository}/manifests/{tag}",
            headers={"Accept": MANIFESTS},
            timeout=TIMEOUT_S,
        )
        answer.raise_for_status()
        self._backend.put_image(
            repository,
            answer.text,
            tag,
            answer.headers["Content-Type"],
            "sha256:" + hashlib.sha256(answer.content).hexdigest(),
        )
