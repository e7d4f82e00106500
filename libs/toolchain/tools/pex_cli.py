"""Builds the Pex program for Pants from PyPI, which Pants would otherwise download from a code host.

The program has the same bytes on every machine, so that pants.toml can pin its SHA-256.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from toolchain.process import (
    ca_bundle,
    run,
    tool_environment,
)
from toolchain.tools.tool import Tool

# --no-strip-pex-env: without it Pex uses a cache outside of Pants' own.
PEX_ARGS = ("--no-compile", "--disable-cache", "--no-strip-pex-env", "--include-tools")


def pex_cli_tool(lock: Path, python: Path) -> Tool:
    """Returns the tool whose folder contains `pex`; `python` is that of a virtual environment with Pex."""

    def build(staging: Path, folder: Path) -> None:
        output = ["-o", str(staging / "pex")]
        env = pex_environment(os.environ, staging)
        bundle = ca_bundle(os.environ)
        trust = ["--cert", bundle] if bundle else []  # Pex hides SSL_CERT_FILE from its pip
        argv = [str(python), "-m", "pex", "-r", str(lock), "-c", "pex", *PEX_ARGS, *trust, *output]
        run(argv, "build the Pex program", cwd=staging, env=env)

    return Tool(
        group="tools",
        name="pex",
        title="the Pex program for Pants",
        inputs=("2", lock.read_text(), *PEX_ARGS),
        download_mb=10,
        seconds=13,
        build=build,
        needs=("venvs/pex",),
    )


def pex_environment(environ: Mapping[str, str], staging: Path) -> dict[str, str]:
    """Returns the caller's environment without the variables whose values Pex would write into the program."""
    unwanted = ("PEX", "XDG_CACHE_HOME")
    env = {
        name: v for name, v in tool_environment(environ).items() if not name.startswith(unwanted)
    }
    return {**env, "TMPDIR": str(staging), "PYTHONHASHSEED": "0"}
