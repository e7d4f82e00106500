"""Installs Python 3.13 and 3.9 from Debian's packages, independent of the machine's own Python.

The packages are unpacked together with the libc and the libraries they were built with, and patchelf makes the
executable load these. So Debian 13's Python 3.13 runs on Debian 12, and `sys.executable` is an ordinary file that
virtual environments and Pants can use.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.process import run
from toolchain.tools.debian import unpack
from toolchain.tools.tool import Tool

RECIPE = "2"  # increase it when the code below produces something else from the same packages
TRIPLET = "x86_64-linux-gnu"
LOADER = "ld-linux-x86-64.so.2"
WHEELS = "usr/share/python-wheels/"


@dataclass(frozen=True)
class Interpreter:
    """A Python version: its Debian suite and all packages that it needs."""

    version: str
    suite: str
    libc: str  # the folder of the suite's libc, relative to the root of its packages
    packages: tuple[str, ...]
    download_mb: int


PYTHON_313 = Interpreter(
    version="3.13",
    suite="trixie",
    libc=f"usr/lib/{TRIPLET}",
    packages=(
        *("python3.13", "python3.13-minimal", "python3.13-venv", "python3-pip-whl"),
        *("libpython3.13-minimal", "libpython3.13-stdlib", "libc6", "libgcc-s1", "libstdc++6"),
        *("libexpat1", "libzstd1", "zlib1g", "libssl3t64", "libbz2-1.0", "libdb5.3t64", "libffi8"),
        *("liblzma5", "libtinfo6", "libncursesw6", "libreadline8t64", "libsqlite3-0", "libuuid1"),
        *("libcrypt1", "tzdata"),
    ),
    download_mb=27,
)
PYTHON_39 = Interpreter(
    version="3.9",
    suite="bullseye",
    libc=f"lib/{TRIPLET}",
    packages=(
        *("python3.9", "python3.9-minimal", "python3-distutils", "python3-lib2to3"),
        *("libpython3.9-minimal", "libpython3.9-stdlib", "libc6", "libgcc-s1", "libstdc++6"),
        *("libexpat1", "zlib1g", "libssl1.1", "libbz2-1.0", "libdb5.3", "libffi7", "liblzma5"),
        *("libmpdec3", "libtinfo6", "libncursesw6", "libreadline8", "libsqlite3-0", "libuuid1"),
        *("libcrypt1", "libnsl2", "libtirpc3", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3"),
        *("libkrb5support0", "libcom-err2", "libkeyutils1"),
    ),
    download_mb=22,
)


def executable(interpreter: Interpreter, folder: Path) -> Path:
    """Returns the path of the executable in the tool's folder."""
    return folder / "usr" / "bin" / f"python{interpreter.version}"


def interpreter_tool(
    interpreter: Interpreter, mirror: str, ensure_patchelf: Callable[[], Path]
) -> Tool:
    """Returns the Python as a tool; `mirror` is the Debian mirror's address.

    `ensure_patchelf` returns patchelf's path once it is installed. It is called when the packages are unpacked, so that
    they are downloaded beside it.
    """

    def build(staging: Path, folder: Path) -> None:
        _require_x86_64()
        packages = interpreter.packages
        unpack(interpreter.suite, packages, mirror, staging / ".apt", staging)
        _load_own_libraries(interpreter, staging, folder, ensure_patchelf())
        _use_own_wheels(interpreter, staging, folder)

    return Tool(
        group="pythons",
        name=interpreter.version,
        title=f"Python {interpreter.version} (from Debian {interpreter.suite})",
        inputs=(RECIPE, interpreter.version, interpreter.suite, *interpreter.packages),
        download_mb=interpreter.download_mb,
        seconds=8,
        build=build,
    )


def _load_own_libraries(
    interpreter: Interpreter, staging: Path, folder: Path, patchelf: Path
) -> None:
    binary = executable(interpreter, staging)
    loader = f"{interpreter.libc}/{LOADER}"
    libraries = dict.fromkeys([interpreter.libc, f"usr/lib/{TRIPLET}"])
    # DT_RPATH instead of RUNPATH, because it also applies to libraries that libraries and wheels load.
    rpath = ":".join(f"$ORIGIN/../../{library}" for library in libraries)
    change = ["--set-interpreter", str(folder / loader), "--force-rpath", "--set-rpath", rpath]
    run([str(patchelf), *change, str(binary)], f"prepare Python {interpreter.version}")
    # The loader's path in the executable exists only after the rename, so the check starts the loader itself.
    check = "import ctypes, lzma, ssl, sqlite3, venv, zlib; ctypes.CDLL('libstdc++.so.6')"
    run(
        [str(staging / loader), str(binary), "-I", "-c", check],
        f"start the unpacked Python {interpreter.version}",
    )


def _use_own_wheels(interpreter: Interpreter, staging: Path, folder: Path) -> None:
    """Corrects the absolute path in sysconfig from which `venv` takes pip."""
    library = staging / "usr" / "lib" / f"python{interpreter.version}"
    for path in library.glob("_sysconfigdata*.py"):
        old = f"'WHEEL_PKG_DIR': '/{WHEELS}'"
        path.write_text(path.read_text().replace(old, f"'WHEEL_PKG_DIR': {str(folder / WHEELS)!r}"))


def _require_x86_64() -> None:
    if platform.machine() != "x86_64":
        raise ToolchainError(
            f"py-cicd needs an x86-64 machine, this one is {platform.machine()}.",
            "Nothing was changed.",
            "use an x86-64 machine",
        )
