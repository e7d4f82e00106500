"""Starts the sandbox of the integration tests before they begin, since it takes about two minutes.

The tests get the folder with its name and outcome in SHIP_E2E_UP. They wait for it, and remove it as one of their own.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FOLDER_VARIABLE = "SHIP_E2E_UP"
NAME, CODE, LOG = "name", "code", "log"


@dataclass(frozen=True)
class EarlySandbox:
    """Starts a sandbox with the `ship` of a checkout. Its files are in `folder`."""

    checkout: Path
    folder: Path
    environ: Mapping[str, str]

    @contextmanager
    def starting(self) -> Iterator[Mapping[str, str]]:
        """Starts it, yields the variables that tell tests about it, and removes it unless the tests have done so."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"test-{secrets.token_hex(3)}"
        (self.folder / NAME).write_text(name)
        with (self.folder / LOG).open("wb") as log:
            process = self._ship("up", "--yes", name=name, log=log.fileno())
            threading.Thread(target=self._await_end, args=(process,), daemon=True).start()
            try:
                yield {FOLDER_VARIABLE: str(self.folder)}
            finally:
                if process.poll() is None:  # as Ctrl-C at a terminal does
                    os.killpg(process.pid, signal.SIGINT)
                process.wait()
                self._ship("down", name=name, log=log.fileno()).wait()

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        temporary = self.folder / f"{CODE}.new"
        temporary.write_text(str(process.wait()))
        temporary.replace(self.folder / CODE)

    def _ship(self, *arguments: str, name: str, log: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(self.checkout / "ship"), *arguments, "--sandbox", name],
            cwd=self.checkout,
            env={**self.environ, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
