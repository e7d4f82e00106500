"""Builds from PyPI the Pex program that Pants would fetch from a code host; it never fetches it.

Pex names the same bytes on every machine, so pants.toml pins their sha and Pants checks it.
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
from toolchain.tools.tool import Piece

# --no-strip-pex-env: without it Pex resolves into a cache outside Pants' own.
HOW = ("--no-compile", "--disable-cache", "--no-strip-pex-env", "--include-tools")


def pex_cli_piece(lock: Path, python: Path) -> Piece:
    """The folder that holds `pex`; `python` is that of an environment with Pex in it."""

    def make(aside: Path, home: Path) -> None:
        output = ["-o", str(aside / "pex")]
        env = pex_environment(os.environ, aside)
        bundle = ca_bundle(os.environ)
        trust = ["--cert", bundle] if bundle else []  # Pex lets its pip read no variable
        argv = [str(python), "-m", "pex", "-r", str(lock), "-c", "pex", *HOW, *trust, *output]
        run(argv, "build the Pex program", cwd=aside, env=env)

    return Piece(
        group="tools",
        name="pex",
        title="the Pex program for Pants",
        inputs=("2", lock.read_text(), *HOW),
        download_mb=10,
        seconds=13,
        make=make,
    )


def pex_environment(environ: Mapping[str, str], aside: Path) -> dict[str, str]:
    """The caller's, less what Pex would write into the program as the place of its cache."""
    astray = ("PEX", "XDG_CACHE_HOME")
    env = {name: v for name, v in tool_environment(environ).items() if not name.startswith(astray)}
    return {**env, "TMPDIR": str(aside), "PYTHONHASHSEED": "0"}
