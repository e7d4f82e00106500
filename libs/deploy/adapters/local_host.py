"""This machine as a host, through subprocesses."""

from __future__ import annotations

import http.client
import secrets
import shlex
import subprocess
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from deploy.adapters import limits
from deploy.core.commands import shell
from deploy.core.ports import Answer, Completed
from deploy.errors import CommandError, CommandTimeoutError

GRACE_S = 10.0


class LocalHost:
    """A Host without a connection: runs the commands of SshHost in subprocesses."""

    def __init__(self, name: str = "local") -> None:
        self._name = name
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The name in messages."""
        return self._name

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Runs argv. At the time limit its process group is ended."""
        code, stdout, stderr = self._execute(argv, stdin, timeout_s)
        return Completed(code, stdout.decode(errors="replace"), stderr.decode(errors="replace"))

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Writes a file atomically."""
        argv = shell.put_argv(path, len(content), mode, secrets.token_hex(4))
        self._run_or_raise(argv, content, f"can't write {path}")

    def read(self, path: str) -> bytes | None:
        """Returns a file's content, None if there is no such file."""
        code, stdout, stderr = self._execute(shell.read_argv(path), b"", 60.0)
        if code == shell.MISSING:
            return None
        if code != 0:
            raise self._failed(f"can't read {path}", stderr)
        return stdout

    def append(self, path: str, line: str) -> None:
        """Appends a line to a file and fsyncs it."""
        content = (line.rstrip("\n") + "\n").encode()
        self._run_or_raise(
            shell.append_argv(path, len(content)), content, f"can't append to {path}"
        )

    def stream(self, argv: Sequence[str]) -> Generator[str]:
        """Yields lines of stdout and stderr as they arrive. Raises CommandError for a non-zero exit code."""
        with self._start(shell.watched(argv), stderr=subprocess.STDOUT) as process:
            last = ""
            for last in _lines(process):
                yield last
            code = process.wait(GRACE_S)
            if code != 0 and process in self._running:
                raise self._failed(f"`{shlex.join(argv)}` exited with {code}", last.encode())

    @contextmanager
    def keep_running(self, argv: Sequence[str], *, expect: str) -> Iterator[Completed | None]:
        """Keeps a command running while the context lasts, then closes its stdin."""
        with self._start(argv, stderr=subprocess.PIPE) as process:
            yield _await_started(process, expect)

    def connect(self) -> None:
        """Does nothing: there is no connection."""

    def fetch(
        self,
        port: int,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> Answer:
        """Sends a GET to a port of the loopback or another address; the status is 0 if nothing answers."""
        connection = http.client.HTTPConnection(address, port, timeout=GRACE_S)
        try:
            return limits.get(connection, path, headers or {}, GRACE_S)
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, (str(error) or type(error).__name__).encode())

    def close(self) -> None:
        """Ends the commands that are kept running or streamed."""
        with self._lock:
            running, self._running = self._running, set()
        for process in running:
            _end(process)

    def _run_or_raise(self, argv: Sequence[str], stdin: bytes, failure: str) -> None:
        code, _, stderr = self._execute(argv, stdin, 60.0)
        if code != 0:
            raise self._failed(failure, stderr)

    def _execute(
        self, argv: Sequence[str], stdin: bytes, timeout_s: float
    ) -> tuple[int, bytes, bytes]:
        started = time.monotonic()
        done = subprocess.run(
            shell.limited(argv, timeout_s), input=stdin, capture_output=True, check=False
        )
        code = _code(done.returncode)
        if shell.timed_out(code, time.monotonic() - started, timeout_s):
            raise CommandTimeoutError(
                f"{self.name}: `{shlex.join(argv)}` ran longer than {timeout_s:g} s and was ended",
                hint="check this machine's load and disk, then run this again",
            )
        return code, done.stdout, done.stderr

    @contextmanager
    def _start(self, argv: Sequence[str], *, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        )
        with self._lock:
            self._running.add(process)
        try:
            with process:
                try:
                    yield process
                finally:
                    _end(process)
        finally:
            with self._lock:
                self._running.discard(process)

    def _failed(self, what: str, stderr: bytes) -> CommandError:
        text = shell.last_lines(stderr.decode(errors="replace"))
        reason = text.splitlines()[-1] if text else "it printed no reason"
        return CommandError(
            f"{self.name}: {what}: {reason}", stderr=text, hint="run the command by hand"
        )


def _await_started(process: subprocess.Popen[bytes], expect: str) -> Completed | None:
    printed: list[str] = []
    for line in _lines(process):
        if line == expect:
            return None
        printed.append(line)
    stderr = process.stderr.read().decode(errors="replace") if process.stderr else ""
    code = _code(process.wait(GRACE_S))
    return Completed(code, "".join(f"{line}\n" for line in printed), stderr)


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.decode(errors="replace").removesuffix("\n")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a command by closing its stdin; kills it if it goes on for `GRACE_S`."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _code(returncode: int) -> int:
    """Returns the exit code as a shell does: 128 plus the number of the signal that ended the command."""
    return returncode if returncode >= 0 else 128 - returncode
