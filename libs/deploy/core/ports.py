"""What the outside must offer, as narrow Protocols; never an implementation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from deploy.core.state.secrets import Found, Missing


@dataclass(frozen=True)
class Completed:
    """A command's end: exit code and what it printed."""

    code: int
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status (0: no answer, `body` then says why), headers in lower case, body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Host(Protocol):
    """A machine that runs replicas, reached over one connection.

    Every method raises HostUnreachableError when the connection is lost or can't be made (HostKeyError,
    HostAuthError at the first use).
    """

    @property
    def name(self) -> str: ...

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Runs argv (no shell) to its end. Raises CommandTimeoutError; a non-zero code is a value."""
        ...

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Writes a file whole or not at all: beside it, fsynced, renamed; makes parent folders."""
        ...

    def read(self, path: str) -> bytes | None:
        """Returns a file's content, None if there is no such file."""
        ...

    def append(self, path: str, line: str) -> None:
        """Adds one line to a file and fsyncs it."""
        ...

    def stream(self, argv: Sequence[str]) -> Iterator[str]:
        """Yields a command's output lines as they come; closing the iterator ends the command."""
        ...

    def hold(self, argv: Sequence[str], *, expect: str) -> AbstractContextManager[Completed | None]:
        """Keeps a command running that reads stdin and ends at EOF, for as long as the context lives.

        Enters with None once it printed the line `expect`, or with its end if it ended before that.
        """
        ...

    def fetch(self, port: int, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """GETs from the host's own loopback, on a fresh connection; never raises for an HTTP status."""
        ...

    def close(self) -> None: ...


class Probe(Protocol):
    """Asks a URL from outside, each time on a fresh connection."""

    def get(
        self, url: str, *, timeout_s: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> Answer: ...


class Clock(Protocol):
    """Time: `now` is UTC in ISO 8601 with seconds, `monotonic` in seconds."""

    def now(self) -> str: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class ImageRegistry(Protocol):
    """Where images are pulled from."""

    def login(self) -> tuple[str, str, str]:
        """Returns (registry name, user, password), short-lived."""
        ...

    def digest_of(self, repository: str, tag: str) -> str | None:
        """Returns `sha256:...` of a tag, None if the registry has no such tag."""
        ...

    def size_of(self, image: str) -> int:
        """Returns how many bytes a pull of `name@sha256:...` moves, 0 if the registry doesn't say."""
        ...


class SecretStore(Protocol):
    """Where secrets' values are."""

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns what it holds under each key. Raises SecretStoreError where it can't be asked at all."""
        ...


class MetricsQuery(Protocol):
    """Asks Prometheus."""

    def query(self, promql: str) -> list[tuple[Mapping[str, str], float]]:
        """Runs an instant query; returns (labels, value) a series. Raises MetricsError."""
        ...


Say = Callable[[str], None]
