"""Makes a virtual environment from a hash-pinned lock with uv; it never resolves anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.process import run, tool_environment
from toolchain.tools.tool import Piece


@dataclass(frozen=True)
class Venv:
    """What one virtual environment is made of; `lock` is relative to the folder of the locks."""

    name: str
    title: str
    lock: str
    download_mb: int
    seconds: int


SHIP = Venv("ship", "the libraries of ship", "default.lock", download_mb=110, seconds=15)
PANTS = Venv("pants", "Pants 2.17.1", "tools/pants.lock", download_mb=40, seconds=12)
RUFF = Venv("ruff", "ruff, to fix and format by hand", "tools/ruff.lock", download_mb=11, seconds=2)
PIPELINE = Venv(
    "pipeline",
    "what checks and runs the pipeline offline",
    "tools/pipeline.lock",
    download_mb=75,
    seconds=8,
)
PEX = Venv("pex", "Pex 2.60.2", "tools/pex.lock", download_mb=5, seconds=3)


def venv_piece(venv: Venv, locks: Path, python: Path, uv: Path) -> Piece:
    """The environment as a piece; `python` is the interpreter it links to."""
    lock = locks / venv.lock

    def make(aside: Path, home: Path) -> None:
        env = uv_environment(os.environ)
        environment = aside / "venv"
        create = [str(uv), "venv", "-q", "--relocatable", "--python", str(python)]
        run([*create, str(environment)], f"make a virtual environment for {venv.title}", env=env)
        install = [str(uv), "pip", "sync", "-q", "--require-hashes", "--compile-bytecode"]
        into = ["--python", str(environment / "bin" / "python"), str(lock)]
        run([*install, *into], f"install {venv.title}", env=env)
        for entry in environment.iterdir():
            entry.rename(aside / entry.name)
        environment.rmdir()

    return Piece(
        group="venvs",
        name=venv.name,
        title=venv.title,
        inputs=("2", lock.read_text(), str(python)),
        download_mb=venv.download_mb,
        seconds=venv.seconds,
        make=make,
    )


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """uv without configuration files and downloads of its own, on the index that pip is told of."""
    env = tool_environment(environ)
    env |= {"UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    if environ.get("PIP_INDEX_URL"):
        env.setdefault("UV_DEFAULT_INDEX", environ["PIP_INDEX_URL"])
    return env
