"""What building and publishing images needs, as narrow Protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol

from deploy.core.images.oci import Stamp
from deploy.core.ports import Say


class ImageStore(Protocol):
    """Where an engine takes images from: what the base images need of it."""

    def has(self, reference: str) -> bool:
        """Whether an image of that name or id is there."""
        ...

    def load(self, archive: IO[bytes]) -> None:
        """Takes in what `write_archive` wrote."""
        ...


class Trial(Protocol):
    """A container that is tried."""

    @property
    def url(self) -> str: ...
    @property
    def running(self) -> bool: ...

    def stop(self, timeout_s: int) -> int:
        """Ends it as a deploy does and returns its exit code."""
        ...

    def last_lines(self, count: int) -> str: ...


class Engine(ImageStore, Protocol):
    """The Docker engine of this machine. Every method raises EngineError when it doesn't run or refuses."""

    def id_of(self, reference: str) -> str: ...
    def size_bytes(self, reference: str) -> int: ...
    def configuration(self, reference: str) -> bytes: ...
    def layers(self, reference: str, folder: Path) -> list[Path]: ...
    def tag(self, image: str, repository: str, tag: str) -> None: ...
    def untag(self, reference: str) -> None: ...

    def push(self, repository: str, tag: str, login: tuple[str, str], progress: Say) -> None:
        """Pushes an image by the name it has."""
        ...

    def run(self, image: str, argv: Sequence[str]) -> tuple[int, str]:
        """Runs a command in an image and returns its exit code with what it wrote."""
        ...

    def started(
        self, image: str, environment: Mapping[str, str], *, port: int, memory: str
    ) -> AbstractContextManager[Trial]:
        """Starts an image as production does, and removes the container at the end."""
        ...


class Packager(Protocol):
    """The build. Both methods raise BuildError."""

    def inputs(self, target: str) -> tuple[str, ...]:
        """Returns the files that a target is made of."""
        ...

    def package(self, target: str) -> str:
        """Builds an image and returns its id in the engine."""
        ...


class History(Protocol):
    """What git knows."""

    def last_change(self, paths: Sequence[str]) -> Stamp: ...

    def committed(self, paths: Sequence[str]) -> str | None:
        """Returns a name for what HEAD has in these files, None where one of them differs from it."""
        ...

    def state(self) -> str | None:
        """Returns a name for HEAD and all files as they are, None without history."""
        ...


class Memory(Protocol):
    """Remembers small texts by key, on this machine."""

    def recall(self, key: str) -> str | None: ...
    def keep(self, key: str, text: str) -> None: ...


class Registry(Protocol):
    """Where images are pushed to. Raises RegistryError and its kinds."""

    @property
    def name(self) -> str: ...

    @property
    def push_name(self) -> str:
        """The name under which this machine's engine reaches it."""
        ...

    def login(self) -> tuple[str, str, str]: ...
    def ensure_repository(self, repository: str) -> bool: ...
    def digest_of(self, repository: str, tag: str) -> str | None: ...

    def configuration_of(self, repository: str, tag: str) -> str:
        """Returns the digest of a tag's image configuration, "" where the registry doesn't say."""
        ...
