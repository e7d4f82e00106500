"""The Host port of a simulated host, over a connection that can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from deploy.core.commands import locks, output_mux
from deploy.core.ports import Answer, Completed
from deploy.testing.fleet.commands import CommandLine, assert_built
from deploy.testing.fleet.docker import EngineRefusedError
from deploy.testing.fleet.files import record
from deploy.testing.fleet.simulated_host import SimulatedHost

PUBLIC_PORT, PREVIEW_PORT = 80, 8081


class Wire(Protocol):
    """The connection between the deploy tool and a host."""

    def call[T](self, host: MemoryHost, effect: Callable[[bool], T], fail: Callable[[], T]) -> T:
        """Returns `effect(half)` or `fail()`. Raises if the host or the deploy tool is gone."""
        ...


@dataclass
class MemoryHost(SimulatedHost):
    """A simulated host that the deploy tool reaches over `wire`.

    `commands` counts the commands, reads and locks, each of which is a round trip over SSH.
    """

    wire: Wire = field(kw_only=True)
    commands: int = 0

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Runs argv on the simulated host."""
        del timeout_s
        words = list(argv)
        self.commands += 1

        def effect(half: bool) -> Completed:
            try:
                return CommandLine(self).run(words, stdin, half=half)
            except EngineRefusedError as refused:
                return Completed(1, "", f"{refused}\n")

        return self.wire.call(self, effect, lambda: Completed(1, "", "simulated failure\n"))

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Writes a file."""
        del mode
        self.files[path] = content

    def read(self, path: str) -> bytes | None:
        """Returns a file's content."""
        self.commands += 1
        return self.wire.call(self, lambda _: self.files.get(path), lambda: None)

    def append(self, path: str, line: str) -> None:
        """Appends a line to a file."""
        self.files[path] = self.files.get(path, b"") + line.encode() + b"\n"

    def stream(self, argv: Sequence[str]) -> Iterator[str]:
        """Yields the containers' output in the format of the scripts in `core.commands.output_mux`."""
        match list(argv):
            case ["sh", "-c", _, "follow", names, "--since", since, *endless]:
                assert_built(
                    list(argv), output_mux.follow(names.split(), since=since, endless=bool(endless))
                )
                yield from (f"{name} + {name} printed a line" for name in names.split())
            case ["sh", "-c", _, "execute", _, head, names, _, *command]:
                assert_built(list(argv), output_mux.execute(names.split(), command, head))
                codes = {
                    name: self.engine.containers[name].behaviour.command_ends_with
                    for name in names.split()
                }
                for name, code in codes.items():
                    yield f"{name} + {' '.join(command)}"
                    yield f"{name} = {code}"
                record(self.files, f'{head}, "code": {max(codes.values())}')
            case _:
                raise AssertionError(f"{self.name}: unknown stream: {list(argv)}")

    @contextmanager
    def keep_running(self, argv: Sequence[str], *, expect: str) -> Iterator[Completed | None]:
        """Holds the lock until the context ends."""
        token, holder = argv[-3:-1]
        assert list(argv) == locks.take(token, holder)
        assert expect == "held"
        self.commands += 1
        ended = self.wire.call(
            self,
            lambda _: self._take_lock(token, holder),
            lambda: Completed(1, "", "simulated failure"),
        )
        try:
            yield ended
        finally:
            if self.locked_by == token:
                self.locked_by = ""

    def connect(self) -> None:
        """Fails if the host can't be reached."""
        self.wire.call(self, lambda _: None, lambda: None)

    def fetch(
        self,
        port: int,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> Answer:
        """Sends a GET request to the edge's public or preview listener, or to the replica with this address."""
        if address != "127.0.0.1":
            return self.wire.call(
                self,
                lambda _: self.answer_directly(f"{address}:{port}", path),
                lambda: Answer(0, b"simulated failure"),
            )
        assert port in (PUBLIC_PORT, PREVIEW_PORT), f"nothing listens on port {port}"
        host, name = ((headers or {}).get(header, "") for header in ("Host", "X-Request-Id"))
        return self.wire.call(
            self,
            lambda _: self.answer(port, host, path, name),
            lambda: Answer(0, b"simulated failure"),
        )

    def close(self) -> None:
        """Does nothing: there is no connection."""

    def _take_lock(self, token: str, holder: str) -> Completed | None:
        if self.locked_by:
            return Completed(locks.LOCK_TAKEN)
        if self.stragglers:
            return Completed(locks.STRAGGLERS)
        self.locked_by = token
        self.files[locks.TOKEN] = token.encode()
        self.files[locks.HOLDER] = holder.encode() + b"\n"
        return None
