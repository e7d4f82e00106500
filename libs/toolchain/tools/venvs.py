"""Creates virtual environments from hash-pinned locks with uv."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.process import run, tool_environment
from toolchain.tools.tool import Tool


@dataclass(frozen=True)
class Venv:
    """A virtual environment and its lock, a path relative to the folder of the locks."""

    name: str
    title: str
    lock: str
    download_mb: int
    seconds: int


SHIP = Venv("ship", "the libraries of ship", "default.lock", download_mb=110, seconds=15)
PANTS = Venv("pants", "Pants 2.17.1", "tools/pants.lock", download_mb=40, seconds=12)
RUFF = Venv("ruff", "ruff (fixes and formats code)", "tools/ruff.lock", download_mb=11, seconds=2)
PIPELINE = Venv(
    "pipeline",
    "tools that check the pipeline",
    "tools/pipeline.lock",
    download_mb=75,
    seconds=8,
)
PEX = Venv("pex", "Pex 2.60.2", "tools/pex.lock", download_mb=5, seconds=3)


def venv_tool(venv: Venv, locks: Path, python: Path, interpreter: str, uv: Path) -> Tool:
    """Returns the virtual environment as a tool; it links to `python`, which is the Python of version `interpreter`."""
    lock = locks / venv.lock

    def build(staging: Path, folder: Path) -> None:
        env = uv_environment(os.environ)
        created = staging / "venv"
        create = [str(uv), "venv", "-q", "--relocatable", "--python", str(python), str(created)]
        run(create, f"create a virtual environment for {venv.title}", env=env)
        install = [str(uv), "pip", "sync", "-q", "--require-hashes", "--compile-bytecode"]
        into = ["--python", str(created / "bin" / "python"), str(lock)]
        run([*install, *into], f"install {venv.title}", env=env)
        for entry in created.iterdir():
            entry.rename(staging / entry.name)
        created.rmdir()

    return Tool(
        group="venvs",
        name=venv.name,
        title=venv.title,
        inputs=("2", lock.read_text(), str(python)),
        download_mb=venv.download_mb,
        seconds=venv.seconds,
        build=build,
        needs=("tools/bootstrap-tools", f"pythons/{interpreter}"),
    )


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment in which uv reads no configuration files, downloads no Python and uses pip's index."""
    env = tool_environment(environ)
    env |= {"UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    if environ.get("PIP_INDEX_URL"):
        env.setdefault("UV_DEFAULT_INDEX", environ["PIP_INDEX_URL"])
    return env
