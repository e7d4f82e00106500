"""Runs ./ship of a checkout as a user does and reads the JSON document that it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

_QUIET = {"NO_COLOR": "1"}
_DRAINING_VERBS = ("deploy", "rollback", "promote", "scale")
_FORMER = {"--confirm", "--release", "--help"}
"""Options of former spellings and others that don't end with a drain."""

# Variables that would lead the tool's Python to other modules than the checkout's.
_DROPPED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PEX_PATH")


@dataclass(frozen=True)
class ShipResult:
    """How a command ended: its exit code, its JSON document, and what it printed for people."""

    code: int
    document: Mapping[str, Any]
    stderr: str

    @property
    def error(self) -> str:
        """The one line that says what failed; empty if nothing did."""
        return str((self.document.get("error") or {}).get("message", ""))

    @property
    def kind(self) -> str:
        """The type of the error; empty if nothing failed."""
        return str((self.document.get("error") or {}).get("type", ""))

    @property
    def hint(self) -> str:
        """The command that the error suggests."""
        return str((self.document.get("error") or {}).get("hint", ""))

    def expect_success(self) -> Self:
        """Returns itself. Raises AssertionError with the end of stderr if the command failed."""
        assert self.code == 0, f"exit {self.code}\n{self.stderr[-4000:]}"
        assert self.document["ok"] is True
        return self


@dataclass
class ShipCall:
    """A command in progress. Its output goes to files, so it never blocks on a full pipe."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def stderr(self) -> str:
        """Returns what it has printed for people until now."""
        return self.err.read_text(errors="replace")

    def interrupt(self) -> None:
        """Sends SIGINT to the whole process group, as a terminal does at Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, *, within_s: float = 600) -> ShipResult:
        """Waits for the end of the command and returns its result. Raises TimeoutExpired if it takes too long."""
        code = self.process.wait(within_s)
        text = self.out.read_text()
        return ShipResult(code, json.loads(text) if text.strip() else {}, self.stderr())


@dataclass(frozen=True)
class Ship:
    """./ship of one checkout, for one sandbox. The output of its commands is kept in `logs`.

    With `waits_drained` rollouts end when every host has drained, so that what tests load and count includes that.
    """

    root: Path
    sandbox: str
    logs: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    waits_drained: bool = True

    def __call__(
        self, *words: str, env: Path | None = None, cwd: str = ".", within_s: float = 600
    ) -> ShipResult:
        """Runs a command to its end. `env` is an environment file to use instead of the sandbox's own."""
        return self.start(*words, env=env, cwd=cwd).wait(within_s=within_s)

    def start(self, *words: str, env: Path | None = None, cwd: str = ".") -> ShipCall:
        """Starts a command in a process group of its own, as a terminal does."""
        self.logs.mkdir(parents=True, exist_ok=True)
        stem = f"{time.monotonic_ns()}-{words[0]}"
        out, err = self.logs / f"{stem}.out", self.logs / f"{stem}.err"
        options = ["--env", str(env)] if env else []
        if self.waits_drained and words[0] in _DRAINING_VERBS and not _FORMER & {*words}:
            options.append("--wait-drained")
        argv = [str(self.root / "ship"), *words, "--json", "--sandbox", self.sandbox, *options]
        environ = {
            name: value for name, value in self.environ.items() if name not in _DROPPED
        } | _QUIET
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                argv,
                cwd=self.root / cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        return ShipCall(process, out, err)

    def of(self, root: Path) -> Ship:
        """Returns ./ship of another checkout for the same sandbox.

        It runs without a Pants daemon, which would outlive a temporary checkout.
        """
        return replace(self, root=root, environ={**self.environ, "PANTS_PANTSD": "false"})


def until[T](read: Callable[[], T | None], *, within_s: float, every_s: float = 0.1) -> T:
    """Calls `read` until its value is true and returns that value.

    Raises AssertionError with the last value if it takes too long.
    """
    deadline = time.monotonic() + within_s
    while not (value := read()):
        assert time.monotonic() < deadline, f"still {value!r} after {within_s} s"
        time.sleep(every_s)
    return value
