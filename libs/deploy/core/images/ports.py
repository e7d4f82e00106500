"""The protocols that building and publishing images depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol

from deploy.core.commands.sockets import Listener
from deploy.core.images.oci import Stamp
from deploy.core.ports import Say


class ImageStore(Protocol):
    """The images of a container engine, as far as base images need them."""

    def has(self, reference: str) -> bool:
        """Returns whether the engine has an image of this name or id."""
        ...

    def load(self, archive: IO[bytes]) -> None:
        """Loads an archive that `write_archive` wrote."""
        ...


class NameRecord(Protocol):
    """Hears which names of images this program adds to an engine, finds there and removes."""

    def made(self, reference: str) -> None:
        """A name was added."""
        ...

    def used(self, reference: str) -> None:
        """A name was found."""
        ...

    def removed(self, reference: str) -> None:
        """A name was removed."""
        ...


class StartedContainer(Protocol):
    """A container that a smoke test started."""

    @property
    def url(self) -> str: ...
    @property
    def running(self) -> bool: ...

    def stop(self, timeout_s: int) -> int:
        """Stops the container as a deploy does and returns its exit code."""
        ...

    def last_lines(self, count: int) -> str: ...

    def listeners(self) -> tuple[Listener, ...]:
        """Returns which TCP ports listen in it; none if that can't be told."""
        ...


class ContainerEngine(ImageStore, Protocol):
    """The container engine of this machine. Every method raises EngineError if it doesn't run or refuses."""

    def id_of(self, reference: str) -> str: ...
    def size_bytes(self, reference: str) -> int: ...
    def configuration(self, reference: str) -> bytes: ...
    def layers(self, reference: str, folder: Path) -> list[Path]: ...
    def tag(self, image: str, repository: str, tag: str) -> None: ...
    def untag(self, reference: str) -> None: ...

    def ids(self) -> frozenset[str]:
        """Returns the ids of all images, in the short form that a packager returns."""
        ...

    def claim(self, image: str) -> None:
        """Notes that this program had a new image built, by id, whose name a build elsewhere may take."""
        ...

    def push(self, repository: str, tag: str, login: tuple[str, str], progress: Say) -> None:
        """Pushes the image that has this name; `login` is (user, password)."""
        ...

    def run(self, image: str, argv: Sequence[str]) -> tuple[int, str]:
        """Runs a command in an image and returns its exit code and output."""
        ...

    def started(
        self, image: str, environment: Mapping[str, str], *, port: int, memory: str
    ) -> AbstractContextManager[StartedContainer]:
        """Starts an image as production does and removes the container when the context ends."""
        ...


class Packager(Protocol):
    """The build system. Both methods raise BuildError."""

    def inputs(self, target: str) -> tuple[str, ...]:
        """Returns the files that a target is built from."""
        ...

    def package(self, target: str) -> str:
        """Builds an image and returns its id in the engine."""
        ...


class SourceHistory(Protocol):
    """The version history of the source files."""

    def last_change(self, paths: Sequence[str]) -> Stamp:
        """Returns the last commit that changed one of the files."""
        ...

    def committed(self, paths: Sequence[str]) -> str | None:
        """Returns a hash of these files' content in HEAD, None if one of them differs from HEAD."""
        ...

    def state(self) -> str | None:
        """Returns a name for HEAD together with the content of all files, None without a history."""
        ...


class Cache(Protocol):
    """Texts by key, kept on this machine from one call to the next."""

    def get(self, key: str) -> str | None: ...
    def put(self, key: str, text: str) -> None: ...


class ImageRegistry(Protocol):
    """A registry that images are pushed to. Its methods raise RegistryError or a subclass."""

    @property
    def name(self) -> str: ...

    @property
    def push_name(self) -> str:
        """The name under which this machine's engine reaches the registry."""
        ...

    def login(self) -> tuple[str, str, str]:
        """Returns (registry name, user, password)."""
        ...

    def ensure_repository(self, repository: str) -> bool:
        """Creates a repository unless it exists. Returns whether it was created."""
        ...

    def digest_of(self, repository: str, tag: str) -> str | None:
        """Returns the manifest digest of a tag, None if there is no such tag."""
        ...

    def configuration_of(self, repository: str, tag: str) -> str | None:
        """Returns the digest of the image configuration behind a tag, None if the registry doesn't return one."""
        ...
