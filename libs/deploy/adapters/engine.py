"""The Docker engine of this machine, through its SDK; never a registry's control plane, never a host's engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from deploy.errors import EngineError

# Loading and pushing a large image on a busy machine.
TIMEOUT_S = 600


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        raise EngineError(f"the Docker engine refused while {doing}: {error.explanation or error}") from error
    except (DockerException, RequestException) as error:
        raise EngineError(
            f"the Docker engine does not answer while {doing}", hint="./ship doctor --fix"
        ) from error


class Engine:
    """This machine's engine, connected at first use."""

    def __init__(self) -> None:
        self._connected: docker.DockerClient | None = None

    @property
    def _client(self) -> docker.DockerClient:
        if self._connected is None:
            self._connected = docker.from_env(timeout=TIMEOUT_S)
        return self._connected

    def has(self, reference: str) -> bool:
        """Whether an image of that name or id is there."""
        with _translated(f"looking for {reference}"):
            try:
                self._client.api.inspect_image(reference)
            except ImageNotFound:
                return False
            return True

    def load(self, archive: IO[bytes]) -> None:
        """Takes in an archive of images."""
        with _translated("loading an image"):
            for said in self._client.api.load_image(archive, quiet=True):
                if "error" in said:
                    raise EngineError(f"the Docker engine did not load an image: {said['error']}")
