"""Calls ./ship of a checkout as a user does and reads its one JSON document; never imports the tool."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

_QUIET = {"NO_COLOR": "1"}
_ASTRAY = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PEX_PATH")


@dataclass(frozen=True)
class Ended:
    """How a call ended: `document` is its JSON, `said` what it wrote for people."""

    code: int
    document: Mapping[str, Any]
    said: str

    @property
    def error(self) -> str:
        """The one line that says what failed, "" where nothing did."""
        return str((self.document.get("error") or {}).get("message", ""))

    @property
    def kind(self) -> str:
        """The type of the error, "" where nothing failed."""
        return str((self.document.get("error") or {}).get("type", ""))

    @property
    def hint(self) -> str:
        """The next command."""
        return str((self.document.get("error") or {}).get("hint", ""))

    def must(self) -> Self:
        """Returns itself. Raises AssertionError with what was said where the call failed."""
        assert self.code == 0, f"exit {self.code}\n{self.said[-4000:]}"
        assert self.document["ok"] is True
        return self


@dataclass
class Call:
    """A call that is under way; everything it says is kept in files, so it never waits for a reader."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def said(self) -> str:
        return self.err.read_text(errors="replace")

    def await_said(self, words: str, *, within_s: float) -> None:
        """Waits until it has said these words. Raises AssertionError when it ended or took too long."""
        deadline = time.monotonic() + within_s
        while words not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends it to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def ended(self, *, within_s: float = 600) -> Ended:
        code = self.process.wait(within_s)
        text = self.out.read_text()
        return Ended(code, json.loads(text) if text.strip() else {}, self.said())


@dataclass(frozen=True)
class Ship:
    """./ship of one checkout, for one sandbox."""

    root: Path
    sandbox: str
    notes: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def __call__(
        self, *words: str, env: Path | None = None, cwd: str = ".", within_s: float = 600
    ) -> Ended:
        return self.start(*words, env=env, cwd=cwd).ended(within_s=within_s)

    def start(self, *words: str, env: Path | None = None, cwd: str = ".") -> Call:
        """Starts a call in a process group of its own, as a terminal does."""
        self.notes.mkdir(parents=True, exist_ok=True)
        stem = f"{time.monotonic_ns()}-{words[0]}"
        out, err = self.notes / f"{stem}.out", self.notes / f"{stem}.err"
        named = ["--env", str(env)] if env else []
        argv = [str(self.root / "ship"), *words, "--json", "--sandbox", self.sandbox, *named]
        environ = {
            name: value for name, value in self.environ.items() if name not in _ASTRAY
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
        return Call(process, out, err)

    def of(self, root: Path) -> Ship:
        """The same sandbox, from another checkout. One that is thrown away leaves no daemon of Pants behind."""
        return Ship(root, self.sandbox, self.notes, {**self.environ, "PANTS_PANTSD": "false"})


def until[T](look: Callable[[], T | None], *, within_s: float, every_s: float = 0.1) -> T:
    """Returns the first true value that `look` gives. Raises AssertionError with the last one in time."""
    deadline = time.monotonic() + within_s
    while not (value := look()):
        assert time.monotonic() < deadline, f"still {value!r} after {within_s} s"
        time.sleep(every_s)
    return value
