"""Makes a venv of one scope of a PEX file.

Byte code and hash order depend on content alone. The venv is made where it will run, since scripts and byte code
contain its path.
"""

from __future__ import annotations

import compileall
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

EPOCH = 315532800  # 1980-01-01, the first day that a zip archive knows
SITE = "lib/python3.13/site-packages"
# What starts a PEX rather than a venv, what helps at a prompt, and type stubs.
NOT_NEEDED = (
    *("PEX-INFO", "__main__.py", "pex", "pex-repl", "bin/Activate.ps1", "bin/activate*"),
    *(f"{SITE}/PEX_EXTRA_SYS_PATH.pth", f"{SITE}/*-stubs", f"{SITE}/types_*.dist-info"),
    f"{SITE}/*.pex-info",
)


def make_venv(pex: Path, scope: str, venv: Path) -> None:
    """Unpacks a scope (`deps` or `srcs`) and compiles it. Exits if something does not compile."""
    environment = {
        "PATH": "/usr/bin",
        "PEX_TOOLS": "1",
        "PEX_ROOT": "/tmp/pex",  # noqa: S108 - in the build's container
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SOURCE_DATE_EPOCH": str(EPOCH),
    }
    venv.parent.mkdir(parents=True, exist_ok=True)
    options = [f"--scope={scope}", "--site-packages-copies"]
    command = [sys.executable, str(pex), "venv", *options, str(venv)]
    subprocess.run(command, env=environment, check=True)
    for pattern in NOT_NEEDED:
        for path in venv.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(
        venv / "lib", quiet=1, force=True, workers=2, invalidation_mode=mode
    ):
        sys.exit(f"pex_layers: something below {venv} does not compile")
