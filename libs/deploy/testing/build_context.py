"""The ports of an image build in memory: engine, container, build, source history, registry, cache."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from deploy.core.commands.sockets import Listener
from deploy.core.images.oci import Stamp
from deploy.core.ports import Answer, Say
from deploy.errors import EngineError, RegistryAuthError

STAMP = Stamp("3f9c2ab" + "0" * 33, 1795305600)


@dataclass
class MemoryContainer:
    """A container of a smoke test: its answers by path, whether it runs, its exit code and log."""

    answers: dict[str, Answer] = field(default_factory=dict)
    running: bool = True
    exit_code: int = 0
    log: str = "line 1\nline 2"
    stopped: bool = False
    listening: tuple[Listener, ...] = ()

    @property
    def url(self) -> str:
        """The URL of the container."""
        return "http://container"

    def stop(self, timeout_s: int) -> int:
        """Stops the container and returns its exit code."""
        self.stopped = timeout_s > 0
        return self.exit_code

    def last_lines(self, count: int) -> str:
        """Returns the last lines of its log."""
        return "\n".join(self.log.splitlines()[-count:])

    def listeners(self) -> tuple[Listener, ...]:
        """Returns what listens in it."""
        return self.listening

    def get(
        self, url: str, *, timeout_s: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Returns the answer for the URL's path, as a Probe does."""
        del timeout_s, headers
        return self.answers.get(url.removeprefix("http://container"), Answer(0, b"refused"))


class BuildRegistry:
    """The registry that built images are pushed to; the engine pushes to its `push_name`."""

    name = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    push_name = "127.0.0.1:5000"

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.configurations: dict[str, str] = {}
        self.repositories: list[str] = []
        self.expires_after = 1_000_000
        """How many requests the login is valid for."""

    def login(self) -> tuple[str, str, str]:
        """Returns (registry name, user, password)."""
        return self.name, "AWS", "password"

    def ensure_repository(self, repository: str) -> bool:
        """Creates a repository if it is missing. Returns whether it was."""
        if repository in self.repositories:
            return False
        self.repositories.append(repository)
        return True

    def digest_of(self, repository: str, tag: str) -> str | None:
        """Returns the digest of a tag. Raises RegistryAuthError once the login has expired."""
        self.expires_after -= 1
        if self.expires_after < 0:
            raise RegistryAuthError(
                f"registry {self.name} refused the login (401); nothing was pushed"
            )
        return self.digests.get(f"{repository}:{tag}")

    def configuration_of(self, repository: str, tag: str) -> str | None:
        """Returns the digest of a tag's image configuration, None if it is unknown."""
        return self.configurations.get(f"{repository}:{tag}")


class MemoryEngine:
    """An engine that has image configurations by name. A `slim` one also loads archives without their layers."""

    def __init__(
        self, registry: BuildRegistry, container: MemoryContainer, *, slim: bool = True
    ) -> None:
        self.images: dict[str, bytes] = {}
        self.started_containers: list[tuple[str, Mapping[str, str]]] = []
        self.pushed: list[str] = []
        self.claimed: list[str] = []
        self.refuses_push = False
        self.before_push: Callable[[], object] | None = None
        """What another program does while the next push begins."""
        self._registry = registry
        self._container = container
        self._slim = slim

    def has(self, reference: str) -> bool:
        """Returns whether the engine has an image."""
        return reference in self.images

    def load(self, archive: IO[bytes]) -> None:
        """Loads an archive. Raises EngineError if a layer is missing and the engine isn't slim."""
        with tarfile.open(fileobj=archive) as members:
            files = {member.name: members.extractfile(member) for member in members}
            contents = {name: reader.read() if reader else b"" for name, reader in files.items()}
        (image,) = json.loads(contents["manifest.json"])
        if not self._slim and not set(image["Layers"]) <= set(contents):
            raise EngineError("the Docker engine did not load an image: no layer")
        self.images[image["RepoTags"][0]] = contents[image["Config"]]

    def id_of(self, reference: str) -> str:
        """Returns an image's id."""
        return f"sha256:{hashlib.sha256(self.images[reference]).hexdigest()}"

    def size_bytes(self, reference: str) -> int:
        """Returns an image's size."""
        return len(self.images[reference])

    def configuration(self, reference: str) -> bytes:
        """Returns an image's configuration."""
        return self.images[reference]

    def layers(self, reference: str, folder: Path) -> list[Path]:
        """Writes an image's layers into a folder."""
        count = len(json.loads(self.images[reference])["rootfs"]["diff_ids"])
        paths = [folder / f"{number}.tar" for number in range(count)]
        for path in paths:
            path.write_bytes(b"layer")
        return paths

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Adds a name to an image."""
        self.images[f"{repository}:{tag}"] = self.images[image]

    def untag(self, reference: str) -> None:
        """Removes a name from an image."""
        self.images.pop(reference, None)

    def ids(self) -> frozenset[str]:
        """Returns what a packager calls the images that are there."""
        return frozenset(self.images)

    def claim(self, image: str) -> None:
        """Notes that an image was built."""
        self.claimed.append(image)

    def push(self, repository: str, tag: str, login: tuple[str, str], progress: Say) -> None:
        """Pushes to the registry.

        Raises EngineError while `refuses_push`, if the image's name is gone, and, as ECR does, for a tag that exists.
        """
        if before := self.before_push:
            self.before_push = None
            before()
        if self.refuses_push:
            raise EngineError(f"{repository}:{tag} was not pushed: denied")
        if f"{repository}:{tag}" not in self.images:
            raise EngineError(f"{repository}:{tag} was not pushed: tag does not exist")
        assert login == ("AWS", "password")
        name = f"{repository.removeprefix(f'{self._registry.push_name}/')}:{tag}"
        if name in self._registry.digests:
            raise EngineError(f"{name} was not pushed: tag invalid: the tag is immutable")
        self._registry.digests[name] = self.id_of(f"{repository}:{tag}")
        self.pushed.append(name)
        progress("pushed")

    def run(self, image: str, argv: Sequence[str]) -> tuple[int, str]:
        """Records a command. Returns the container's exit code and log."""
        assert image in self.images
        self.started_containers.append((image, {"argv": " ".join(argv)}))
        return self._container.exit_code, self._container.log

    @contextmanager
    def started(
        self, image: str, environment: Mapping[str, str], *, port: int, memory: str
    ) -> Iterator[MemoryContainer]:
        """Records the start of the container and yields it."""
        assert image in self.images
        assert (port, memory) != (0, "")
        self.started_containers.append((image, environment))
        yield self._container


@dataclass
class MemoryBuild:
    """The build of an image and the history of its sources. `content` is the content of its layer."""

    engine: MemoryEngine
    content: str = "one"
    stamp: Stamp = STAMP
    now: str | None = "head+tree"
    dirty: bool = False
    packaged: int = 0

    def inputs(self, target: str) -> tuple[str, ...]:
        """Returns the files of a target."""
        return (target.replace(":", "/"),)

    def package(self, target: str) -> str:
        """Builds an image. Like a real builder, it writes the build's time into the configuration."""
        del target
        self.packaged += 1
        diff_id = f"sha256:{hashlib.sha256(self.content.encode()).hexdigest()}"
        document = {
            "architecture": "amd64",
            "created": f"moment {self.packaged}",
            "config": {
                "User": "10001:10001",
                "Cmd": ["gunicorn"],
                "Image": f"builder {self.packaged}",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'0' * 64}", diff_id]},
        }
        self.engine.images["py-cicd/app:packaged"] = json.dumps(document).encode()
        return "py-cicd/app:packaged"

    def last_change(self, paths: Sequence[str]) -> Stamp:
        """Returns the last change of these paths."""
        assert paths
        return self.stamp

    def committed(self, paths: Sequence[str]) -> str | None:
        """Returns an id of the files' content, None if they differ from the commit."""
        assert paths
        return None if self.dirty else f"{self.content} at {self.stamp.revision}"

    def state(self) -> str | None:
        """Returns an id of the checkout's state."""
        return self.now


class MemoryCache:
    """A build cache in memory."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """Returns a text, None if there is none for the key."""
        return self._texts.get(key)

    def put(self, key: str, text: str) -> None:
        """Stores a text."""
        self._texts[key] = text
