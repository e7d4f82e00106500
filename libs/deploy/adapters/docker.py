"""The Docker engine of this machine, through Docker's SDK."""

from __future__ import annotations

import json
import re
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

from deploy.core.commands import sockets
from deploy.core.commands.sockets import Listener
from deploy.core.images.oci import short_id
from deploy.core.images.ports import NameRecord
from deploy.errors import EngineError, NoEngineError

# Enough for loading or pushing a large image on a busy machine.
TIMEOUT_S = 600
_LOADED = re.compile(r"Loaded image: (?P<name>\S+)")


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        raise EngineError(
            f"the Docker engine refused while {doing}: {error.explanation or error}",
            hint="./ship doctor; then run this again",
        ) from error
    except (DockerException, RequestException) as error:
        raise NoEngineError(
            f"the Docker engine does not answer while {doing}", hint="./ship doctor --fix"
        ) from error


def _text(output: bytes | str | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


class DockerEngine:
    """The engine of this machine; connects at first use. `names` hears which names of images it adds and uses."""

    def __init__(self, names: NameRecord | None = None) -> None:
        self._connected: docker.DockerClient | None = None
        self._names = names

    @property
    def _client(self) -> docker.DockerClient:
        if self._connected is None:
            self._connected = docker.from_env(timeout=TIMEOUT_S)
        return self._connected

    @property
    def _api(self) -> Any:  # its type stubs cover half of it
        return self._client.api

    def has(self, reference: str) -> bool:
        """Returns whether the engine has an image of this name or id."""
        if not self._has(reference):
            return False
        if self._names:
            self._names.used(reference)
        return True

    def _has(self, reference: str) -> bool:
        with _translated(f"looking for {reference}"):
            try:
                self._api.inspect_image(reference)
            except ImageNotFound:
                return False
            return True

    def load(self, archive: IO[bytes]) -> None:
        """Loads an archive of images."""
        with _translated("loading an image"):
            for event in self._api.load_image(archive, quiet=True):
                if "error" in event:
                    raise EngineError(f"the Docker engine did not load an image: {event['error']}")
                if self._names and (loaded := _LOADED.match(event.get("stream", ""))):
                    self._names.made(loaded["name"])

    def id_of(self, reference: str) -> str:
        """Returns the id (`sha256:...`) of an image that the engine has."""
        return str(self._inspected(reference)["Id"])

    def size_bytes(self, reference: str) -> int:
        """Returns the size of an image, unpacked."""
        return int(self._inspected(reference)["Size"])

    def configuration(self, reference: str) -> bytes:
        """Returns an image's configuration in the form of the OCI spec, as far as the engine exposes it."""
        image = self._inspected(reference)
        document = {
            "architecture": image["Architecture"],
            "config": image["Config"],
            "rootfs": {"type": "layers", "diff_ids": image["RootFS"]["Layers"]},
        }
        return json.dumps(document).encode()

    def _inspected(self, reference: str) -> dict[str, Any]:
        with _translated(f"inspecting {reference}"):
            found: dict[str, Any] = self._api.inspect_image(reference)
            return found

    def layers(self, reference: str, folder: Path) -> list[Path]:
        """Writes an image's layers into a folder and returns the paths of their tars, lowest first."""
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
        """Adds a name to an image."""
        reference = f"{repository}:{tag}"
        is_new = self._names is not None and not self._has(reference)
        with _translated(f"tagging {reference}"):
            self._api.tag(image, repository, tag)
        if self._names and is_new:
            self._names.made(reference)

    def untag(self, reference: str) -> None:
        """Removes a name, and with the last name the image."""
        with _translated(f"removing the name {reference}"), suppress(ImageNotFound):
            self._api.remove_image(reference, noprune=True)
        if self._names:
            self._names.removed(reference)

    def ids(self) -> frozenset[str]:
        """Returns the ids of all images, in the short form that a packager returns."""
        with _translated("listing the images"):
            return frozenset(short_id(each) for each in self._api.images(quiet=True, all=True))

    def claim(self, image: str) -> None:
        """Notes that this program had a new image built, by id, whose name a build elsewhere may take."""
        if self._names:
            self._names.made(image)

    def push(
        self, repository: str, tag: str, login: tuple[str, str], progress: Callable[[str], None]
    ) -> None:
        """Pushes the image that has this name; `login` is (user, password), which only the engine gets.

        Raises EngineError with the engine's own message.
        """
        user, password = login
        with _translated(f"pushing {repository}:{tag}"):
            events = self._api.push(
                repository,
                tag,
                stream=True,
                decode=True,
                auth_config={"username": user, "password": password},
            )
            for event in events:
                if "error" in event:
                    raise EngineError(f"{repository}:{tag} was not pushed: {event['error']}")
                if self._names and (pushed := event.get("aux", {}).get("Digest")):
                    self._names.made(f"{repository}@{pushed}")  # the engine keeps this name
                if event.get("status") == "Pushed":
                    progress(f"pushed layer {event.get('id', '')}")

    def run(self, image: str, argv: Sequence[str]) -> tuple[int, str]:
        """Runs a command in an image and returns its exit code and output."""
        with _translated(f"running {image}"):
            try:
                output = self._client.containers.run(image, list(argv), remove=True, stderr=True)
            except ContainerError as error:
                return error.exit_status, _text(error.stderr)
            return 0, _text(output)

    @contextmanager
    def started(
        self, image: str, environment: Mapping[str, str], *, port: int, memory: str
    ) -> Iterator[DockerContainer]:
        """Starts an image as production does, on a free port, and removes the container when the context ends."""
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
            yield DockerContainer(container, port, self._address)
        finally:
            with _translated(f"removing the container of {image}"):
                container.remove(force=True, v=True)

    @property
    def _is_local(self) -> bool:
        return self._address == "127.0.0.1"

    @property
    def _address(self) -> str:
        """The address of published ports: this machine's, or that of a remote engine (a CI job's service)."""
        url = urlsplit(self._api.base_url)
        return "127.0.0.1" if url.scheme == "http+docker" or not url.hostname else url.hostname


class DockerContainer:
    """A container that a smoke test started."""

    def __init__(self, container: Container, port: int, address: str) -> None:
        self._container = container
        self._port = port
        self._address = address

    @property
    def url(self) -> str:
        """The URL of its port on this machine."""
        with _translated("looking for a container's port"):
            self._container.reload()
            published = self._container.ports.get(f"{self._port}/tcp") or [{}]
        return f"http://{self._address}:{published[0].get('HostPort', 0)}"

    @property
    def running(self) -> bool:
        """Whether its process is running."""
        with _translated("inspecting a container"):
            self._container.reload()
            return bool(self._container.status == "running")

    def stop(self, timeout_s: int) -> int:
        """Stops it as a deploy does and returns its exit code, 137 if it had to be killed."""
        with _translated("stopping a container"):
            self._container.stop(timeout=timeout_s)
            return int(self._container.wait()["StatusCode"])

    def last_lines(self, count: int) -> str:
        """Returns the last lines of its output."""
        with _translated("reading a container's log"):
            return self._container.logs(tail=count).decode(errors="replace").strip()

    def listeners(self) -> tuple[Listener, ...]:
        """Returns which TCP ports listen in it; none if its image has no `python3`."""
        with _translated("looking at a container's ports"):
            done = self._container.exec_run(sockets.list_own_listeners())
        return sockets.parse_listeners(
            done.output.decode(errors="replace") if isinstance(done.output, bytes) else ""
        )
