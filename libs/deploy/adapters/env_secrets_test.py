"""Tests of secrets in GitLab's two kinds of variables."""

from __future__ import annotations

from pathlib import Path

from deploy.adapters.env_secrets import FileSecrets, VariableSecrets
from deploy.core.state.secrets import (
    Found,
    Missing,
    Secret,
)


def test_variable_is_removed_so_that_no_child_process_inherits_it() -> None:
    environ = {"TOKEN": "a value", "EMPTY": "", "PATH": "/bin"}
    found = VariableSecrets(environ).fetch(["TOKEN", "EMPTY", "NONE"])
    assert found == {
        "TOKEN": Found(Secret("a value")),
        "EMPTY": Missing("is empty"),
        "NONE": Missing("is not set"),
    }
    assert "TOKEN" not in environ
    assert environ["PATH"] == "/bin"


def test_variable_of_type_file_gives_the_files_content(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----BEGIN\nend\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    environ = {name.upper(): str(tmp_path / name) for name in ("key", "empty", "binary", "gone")}
    assert FileSecrets(environ).fetch([*environ, "NONE"]) == {
        "KEY": Found(Secret("-----BEGIN\nend\n")),
        "EMPTY": Missing("is empty"),
        "BINARY": Missing("names a file that is not UTF-8 text"),
        "GONE": Missing("names a file that can't be read: No such file or directory"),
        "NONE": Missing("is not set"),
    }
