"""Tests of the Pex program: the same bytes wherever it is made."""

from pathlib import Path

from toolchain.tools.pex_cli import pex_environment


def test_where_this_machine_keeps_caches_is_no_part_of_the_program() -> None:
    environ = {"HOME": "/h", "XDG_CACHE_HOME": "/c", "PEX_ROOT": "/p", "PYTHONPATH": "/x"}
    env = pex_environment(environ, Path("/aside"))
    assert env["HOME"] == "/h"
    assert env["TMPDIR"] == "/aside"
    assert not {"XDG_CACHE_HOME", "PEX_ROOT", "PYTHONPATH"} & set(env)
