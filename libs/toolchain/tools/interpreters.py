"""The two Pythons, always the same whatever the machine has; it never uses one of the machine's.

Debian's packages are unpacked aside with the libc and the libraries they were built with, and the
executable is told by patchelf to load those. So Python 3.13 of Debian 13 runs on Debian 12, and
`sys.executable` is an ordinary file that venvs and Pants can use.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.process import run
from toolchain.tools.debian import unpack
from toolchain.tools.tool import Piece

RECIPE = "2"  # raise it when the code below makes something else of the same packages
TRIPLET = "x86_64-linux-gnu"
LOADER = "ld-linux-x86-64.so.2"
WHEELS = "usr/share/python-wheels/"


@dataclass(frozen=True)
class Interpreter:
    """One Python: the Debian release it is from and the packages that make it whole."""

    version: str
    suite: str
    libc: str  # where the packages of that release put their libc, below their root
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


def executable(interpreter: Interpreter, home: Path) -> Path:
    """The Python to start."""
    return home / "usr" / "bin" / f"python{interpreter.version}"


def interpreter_piece(interpreter: Interpreter, address: str, patchelf: Path) -> Piece:
    """The Python as a piece; `address` is the Debian mirror."""

    def make(aside: Path, home: Path) -> None:
        _need_x86_64()
        packages = interpreter.packages
        unpack(interpreter.suite, packages, address, aside / ".apt", aside)
        _load_own_libraries(interpreter, aside, home, patchelf)
        _point_at_own_wheels(interpreter, aside, home)

    return Piece(
        group="pythons",
        name=interpreter.version,
        title=f"Python {interpreter.version} (Debian {interpreter.suite}'s, unpacked aside)",
        inputs=(RECIPE, interpreter.version, interpreter.suite, *interpreter.packages),
        download_mb=interpreter.download_mb,
        seconds=8,
        make=make,
    )


def _load_own_libraries(interpreter: Interpreter, aside: Path, home: Path, patchelf: Path) -> None:
    binary = executable(interpreter, aside)
    loader = f"{interpreter.libc}/{LOADER}"
    folders = dict.fromkeys([interpreter.libc, f"usr/lib/{TRIPLET}"])
    # DT_RPATH (not RUNPATH): it also holds for what the libraries and wheels load in turn.
    rpath = ":".join(f"$ORIGIN/../../{folder}" for folder in folders)
    change = ["--set-interpreter", str(home / loader), "--force-rpath", "--set-rpath", rpath]
    run([str(patchelf), *change, str(binary)], f"prepare Python {interpreter.version}")
    # The loader named in the file exists after the rename only; started by hand it must work now.
    check = "import ctypes, lzma, ssl, sqlite3, venv, zlib; ctypes.CDLL('libstdc++.so.6')"
    run(
        [str(aside / loader), str(binary), "-I", "-c", check],
        f"start the unpacked Python {interpreter.version}",
    )


def _point_at_own_wheels(interpreter: Interpreter, aside: Path, home: Path) -> None:
    """`venv` takes pip from a folder whose absolute path Debian wrote into sysconfig."""
    library = aside / "usr" / "lib" / f"python{interpreter.version}"
    for path in library.glob("_sysconfigdata*.py"):
        old = f"'WHEEL_PKG_DIR': '/{WHEELS}'"
        path.write_text(path.read_text().replace(old, f"'WHEEL_PKG_DIR': {str(home / WHEELS)!r}"))


def _need_x86_64() -> None:
    if platform.machine() != "x86_64":
        raise ToolchainError(
            f"py-cicd runs on x86-64; this machine is {platform.machine()}.",
            "Nothing was changed.",
            "use an x86-64 machine",
        )
