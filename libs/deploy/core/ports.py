"""The ports of the deploy tool: what it needs from hosts, registries, secret stores, Prometheus and the clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from deploy.core.state.secrets import Found, Missing


@dataclass(frozen=True)
class Completed:
    """The exit code and output of a command that has ended."""

    code: int
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True)
class Answer:
    """An HTTP response; header names are in lower case. Status 0: no response, and `body` has the reason."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Host(Protocol):
    """A machine that runs replicas, reached over one connection.

    Every method raises HostUnreachableError if the connection is lost or can't be made, and HostKeyError or
    HostAuthError when it is first used.
    """

    @property
    def name(self) -> str: ...

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Runs argv, without a shell, and returns any exit code. Raises CommandTimeoutError."""
        ...

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Writes a file atomically (temporary file, fsync, rename) and creates missing parent folders."""
        ...

    def read(self, path: str) -> bytes | None:
        """Returns the content of a file; None if it doesn't exist."""
        ...

    def append(self, path: str, line: str) -> None:
        """Appends a line to a file and fsyncs it."""
        ...

    def stream(self, argv: Sequence[str]) -> Iterator[str]:
        """Yields a command's output line by line. Closing the iterator ends the command."""
        ...

    def keep_running(
        self, argv: Sequence[str], *, expect: str
    ) -> AbstractContextManager[Completed | None]:
        """Keeps a command running while the context is open; the command reads stdin and ends at EOF.

        Yields None once the command printed the line `expect`, or its completion if it ended before.
        """
        ...

    def connect(self) -> None:
        """Connects, unless it is connected."""
        ...

    def fetch(
        self,
        port: int,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> Answer:
        """GETs a path over a fresh connection from the host: from its loopback, or a container's address.

        No HTTP status raises an error.
        """
        ...

    def close(self) -> None: ...


class Probe(Protocol):
    """Requests URLs from outside, each over a fresh connection."""

    def get(
        self, url: str, *, timeout_s: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> Answer: ...


class Clock(Protocol):
    """Time: `now` is UTC in ISO 8601 with seconds, `monotonic` is in seconds."""

    def now(self) -> str: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class ImageRegistry(Protocol):
    """The registry that hosts pull images from."""

    def login(self) -> tuple[str, str, str]:
        """Returns short-lived credentials: (registry name, user, password)."""
        ...

    def digest_of(self, repository: str, tag: str) -> str | None:
        """Returns the digest (`sha256:...`) of a tag; None if the tag doesn't exist."""
        ...

    def size_of(self, image: str) -> int:
        """Returns how many bytes a pull of `name@sha256:...` transfers; 0 if the registry doesn't say."""
        ...


class SecretStore(Protocol):
    """A store of secret values."""

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns what the store has under each key. Raises SecretStoreError if it can't be reached or refuses."""
        ...


class MetricsQuery(Protocol):
    """Queries Prometheus."""

    def query(self, promql: str) -> list[tuple[Mapping[str, str], float]]:
        """Runs an instant query; returns (labels, value) of each series. Raises MetricsError."""
        ...


Say = Callable[[str], None]
"""Shows a message to the user."""
