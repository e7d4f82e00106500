"""Keeps moto's ECR in sync with the image registry.

ECR is one service; a sandbox has two servers for it: moto answers the API, a plain registry stores the images. Images
are copied from the registry before a question about them is answered, and an image deleted through the API is deleted
from the registry too.
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


class EcrSync:
    """Copies image manifests from the registry at `url` into moto's `backend`."""

    def __init__(self, url: str, ca_file: str, backend: Any) -> None:
        self._url = url
        self._backend = backend
        self._http = requests.Session()
        self._http.verify = ca_file
        self._http.auth = (REGISTRY_USER, REGISTRY_PASSWORD)
        # The user's proxy and CA settings don't apply to our own registry.
        self._http.trust_env = False

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def pull(self, repository: str) -> None:
        """Adds the registry's new tags to moto. Logs a warning if the registry does not answer."""
        known = self._backend.repositories.get(repository)
        if known is None:
            return
        tags = {tag for image in known.images for tag in image.image_tags}
        try:
            for tag in self._registry_tags(repository):
                if tag not in tags:
                    self._copy(repository, tag)
        except requests.RequestException as error:
            log.warning("the registry did not list repository %s: %s", repository, error)

    def has(self, repository: str) -> bool:
        """Returns whether a repository exists in moto."""
        return repository in self._backend.repositories

    def is_immutable(self, repository: str) -> bool:
        """Returns whether the tags of an existing repository are immutable."""
        return bool(self._backend.repositories[repository].is_tag_immutable())

    def digest_of(self, repository: str, tag: str) -> str | None:
        """Returns the digest that moto has for a tag, None if it has none."""
        known = self._backend.repositories.get(repository)
        images = known.images if known else []
        return next((image.image_digest for image in images if tag in image.image_tags), None)

    @contextmanager
    def propagating_deletions(self, repository: str) -> Iterator[None]:
        """Deletes from the registry the images that are deleted from moto within the context."""
        before = self._digests(repository)
        yield
        for digest in before - self._digests(repository):
            self._http.delete(f"{self._url}/v2/{repository}/manifests/{digest}", timeout=TIMEOUT_S)

    def _digests(self, repository: str) -> set[str]:
        known = self._backend.repositories.get(repository)
        return {image.image_digest for image in known.images} if known else set()

    def _registry_tags(self, repository: str) -> list[str]:
        answer = self._http.get(f"{self._url}/v2/{repository}/tags/list", timeout=TIMEOUT_S)
        if answer.status_code == requests.codes.not_found:
            return []
        answer.raise_for_status()
        # The registry answers null, not [], once the last tag is deleted.
        return sorted(answer.json()["tags"] or [])

    def _copy(self, repository: str, tag: str) -> None:
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
