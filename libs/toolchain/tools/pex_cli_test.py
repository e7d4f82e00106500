"""Tests of the environment in which the Pex program is built."""

from pathlib import Path

from toolchain.tools.pex_cli import pex_environment


def test_paths_of_caches_are_not_written_into_the_program() -> None:
    environ = {"HOME": "/h", "XDG_CACHE_HOME": "/c", "PEX_ROOT": "/p", "PYTHONPATH": "/x"}
    env = pex_environment(environ, Path("/staging"))
    assert env["HOME"] == "/h"
    assert env["TMPDIR"] == "/staging"
    assert not {"XDG_CACHE_HOME", "PEX_ROOT", "PYTHONPATH"} & set(env)
