"""The Docker engine of this machine, through its SDK; never a registry's control plane, never a host's engine."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, ContainerError, DockerException, ImageNotFound
from docker.models.containers import Container
from requests.exceptions import RequestException

from deploy.errors import EngineError, NoEngineError

# Loading and pushing a large image on a busy machine.
TIMEOUT_S = 600


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        raise EngineError(
            f"the Docker engine refused while {doing}: {error.explanation or error}"
        ) from error
    except (DockerException, RequestException) as error:
        raise NoEngineError(
            f"the Docker engine does not answer while {doing}", hint="./ship doctor --fix"
        ) from error


def _text(said: bytes | str | None) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


class Engine:
    """This machine's engine, connected at first use."""

    def __init__(self) -> None:
        self._connected: docker.DockerClient | None = None

    @property
    def _client(self) -> docker.DockerClient:
        if self._connected is None:
            self._connected = docker.from_env(timeout=TIMEOUT_S)
        return self._connected

    @property
    def _api(self) -> Any:  # its type stubs know half of it
        return self._client.api

    def has(self, reference: str) -> bool:
        """Whether an image of that name or id is there."""
        with _translated(f"looking for {reference}"):
            try:
                self._api.inspect_image(reference)
            except ImageNotFound:
                return False
            return True

    def load(self, archive: IO[bytes]) -> None:
        """Takes in an archive of images."""
        with _translated("loading an image"):
            for said in self._api.load_image(archive, quiet=True):
                if "error" in said:
                    raise EngineError(f"the Docker engine did not load an image: {said['error']}")

    def id_of(self, reference: str) -> str:
        """Returns the id (`sha256:...`) of an image that is there."""
        return str(self._inspected(reference)["Id"])

    def size_bytes(self, reference: str) -> int:
        """Returns how much an image takes, unpacked."""
        return int(self._inspected(reference)["Size"])

    def configuration(self, reference: str) -> bytes:
        """Returns an image's configuration, as far as an engine tells it, in the form of the OCI spec."""
        told = self._inspected(reference)
        document = {
            "architecture": told["Architecture"],
            "config": told["Config"],
            "rootfs": {"type": "layers", "diff_ids": told["RootFS"]["Layers"]},
        }
        return json.dumps(document).encode()

    def _inspected(self, reference: str) -> dict[str, Any]:
        with _translated(f"looking at {reference}"):
            found: dict[str, Any] = self._api.inspect_image(reference)
            return found

    def layers(self, reference: str, folder: Path) -> list[Path]:
        """Writes an image's layers into a folder and returns their tars, lowest first."""
        with _translated(f"reading {reference}"):
            chunks = self._api.get_image(reference)
            with (folder / "saved.tar").open("wb") as target:
                for chunk in chunks:
                    target.write(chunk)
        with tarfile.open(folder / "saved.tar") as saved:
            saved.extractall(folder / "saved", filter="data")
        manifest = json.loads((folder / "saved" / "manifest.json").read_bytes())
        return [folder / "saved" / layer for layer in manifest[0]["Layers"]]

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Gives an image one more name."""
        with _translated(f"naming {repository}:{tag}"):
            self._api.tag(image, repository, tag)

    def untag(self, reference: str) -> None:
        """Takes a name away, and the image with it if that was the last."""
        with _translated(f"removing the name {reference}"), suppress(ImageNotFound):
            self._api.remove_image(reference, noprune=True)

    def push(
        self, repository: str, tag: str, login: tuple[str, str], progress: Callable[[str], None]
    ) -> None:
        """Pushes an image by the name it has; the password goes to the engine's socket only.

        Raises EngineError with what the engine said.
        """
        user, password = login
        with _translated(f"pushing {repository}:{tag}"):
            said = self._api.push(
                repository,
                tag,
                stream=True,
                decode=True,
                auth_config={"username": user, "password": password},
            )
            for event in said:
                if "error" in event:
                    raise EngineError(f"{repository}:{tag} was not pushed: {event['error']}")
                if event.get("status") == "Pushed":
                    progress(f"pushed layer {event.get('id', '')}")

    def run(self, image: str, argv: Sequence[str]) -> tuple[int, str]:
        """Runs a command in an image and returns its exit code with what it wrote."""
        with _translated(f"running {image}"):
            try:
                said = self._client.containers.run(image, list(argv), remove=True, stderr=True)
            except ContainerError as error:
                return error.exit_status, _text(error.stderr)
            return 0, _text(said)

    @contextmanager
    def started(
        self, image: str, environment: Mapping[str, str], *, port: int, memory: str
    ) -> Iterator[Trial]:
        """Starts an image as production does, on a free port of this machine, and removes it at the end."""
        published: Any = {f"{port}/tcp": ("127.0.0.1", None) if self._is_local else None}
        with _translated(f"starting {image}"):
            container = self._client.containers.run(
                image,
                detach=True,
                init=True,
                read_only=True,
                tmpfs={"/tmp": "size=32m,mode=1777"},  # noqa: S108 - in the container
                cap_drop=["ALL"],
                security_opt=["no-new-privileges:true"],
                pids_limit=256,
                mem_limit=memory,
                environment=dict(environment),
                ports=published,
                labels={"py-cicd.smoke": "1"},
            )
        try:
            yield Trial(container, port, self._address)
        finally:
            with _translated(f"removing the trial of {image}"):
                container.remove(force=True, v=True)

    @property
    def _is_local(self) -> bool:
        return self._address == "127.0.0.1"

    @property
    def _address(self) -> str:
        """Where published ports are: this machine, or the one whose engine is used (a CI job's service)."""
        url = urlsplit(self._api.base_url)
        return "127.0.0.1" if url.scheme == "http+docker" or not url.hostname else url.hostname


class Trial:
    """A container that is tried."""

    def __init__(self, container: Container, port: int, address: str) -> None:
        self._container = container
        self._port = port
        self._address = address

    @property
    def url(self) -> str:
        """Where it answers."""
        with _translated("looking for a container's port"):
            self._container.reload()
            published = self._container.ports.get(f"{self._port}/tcp") or [{}]
        return f"http://{self._address}:{published[0].get('HostPort', 0)}"

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        with _translated("looking at a container"):
            self._container.reload()
            return bool(self._container.status == "running")

    def stop(self, timeout_s: int) -> int:
        """Ends it as a deploy does and returns its exit code, 137 if it had to be killed."""
        with _translated("stopping a container"):
            self._container.stop(timeout=timeout_s)
            return int(self._container.wait()["StatusCode"])

    def last_lines(self, count: int) -> str:
        """Returns the end of what it wrote."""
        with _translated("reading a container's log"):
            return self._container.logs(tail=count).decode(errors="replace").strip()
