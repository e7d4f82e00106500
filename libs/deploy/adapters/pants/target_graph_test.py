import json
from pathlib import Path

import pytest

from deploy.adapters.pants.target_graph import PantsTargets
from deploy.core.ci.target_graph import Target
from deploy.errors import GraphError

PEEKED = [
    {
        "address": "libs/a.py",
        "target_type": "python_source",
        "dependencies": ["3rdparty:r#flask"],
        "sources": ["libs/a.py"],
        "tags": None,
    },
    {
        "address": "3rdparty:r#flask",
        "target_type": "python_requirement",
        "dependencies": None,
        "requirements": ["flask>=3"],
    },
]


def checkout(root: Path, script: str) -> Path:
    """A folder whose `pants` is a program of the test's: what Pants prints is Pants' own matter."""
    root.mkdir(parents=True, exist_ok=True)
    program = root / "pants"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    (root / "peeked.json").write_text(json.dumps(PEEKED))
    return root


def test_what_pants_tells_becomes_a_graph(tmp_path: Path) -> None:
    root = checkout(tmp_path, 'echo warned >&2; [ "$*" = "--tag=[] peek ::" ] && cat peeked.json')
    assert list(PantsTargets(root).read().targets.values()) == [
        Target("libs/a.py", "python_source", ("libs/a.py",), ("3rdparty:r#flask",)),
        Target("3rdparty:r#flask", "python_requirement", (), (), ("flask>=3",)),
    ]


def test_where_the_daemon_is_busy_pants_goes_without(tmp_path: Path) -> None:
    busy = 'if [ "$PANTS_PANTSD" != false ]; then echo Waiting... >&2; exit 1; fi; cat peeked.json'
    assert "libs/a.py" in PantsTargets(checkout(tmp_path, busy)).read()


def test_another_state_is_read_in_its_own_folder_and_leaves_no_daemon(tmp_path: Path) -> None:
    here = checkout(tmp_path / "here", "exit 1")
    script = '[ "$PANTS_PANTSD" = false ] && [ "$(basename "$PWD")" = there ] && cat peeked.json'
    there = checkout(tmp_path / "there", script)
    assert "libs/a.py" in PantsTargets(here).read(str(there))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo; echo one >&2; echo the last >&2; echo >&2; exit 1", "failed: the last"),
        (
            "echo '1 Exception encountered:' >&2; echo; echo '  Wrong: it' >&2; echo ' * :x' >&2; exit 1",
            "failed: Wrong: it",
        ),
        ("exit 7", "it ended with 7"),
        ("echo no json", "no list of targets"),
        ("echo '{}' ; echo '{}'", "no list of targets"),
        ("echo '[{}]'", "no list of targets"),
        ("echo '[1]'", "no list of targets"),
    ],
)
def test_where_pants_does_not_say_the_reason_is_told(
    tmp_path: Path, script: str, reason: str
) -> None:
    with pytest.raises(GraphError, match=reason):
        PantsTargets(checkout(tmp_path, script)).read()


def test_a_checkout_without_pants_is_told(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="can't be started"):
        PantsTargets(tmp_path).read()


def test_the_settings_name_macros_and_plugins(tmp_path: Path) -> None:
    (tmp_path / "pants.toml").write_text(
        "[GLOBAL]\nbuild_file_prelude_globs = ['macros/*.py']\npythonpath = ['%(buildroot)s/plugins']\n"
    )
    assert PantsTargets(tmp_path).macros() == ("macros/*.py", "plugins/**")


def test_settings_without_macros_name_none(tmp_path: Path) -> None:
    (tmp_path / "pants.toml").write_text("[source]\n")
    assert PantsTargets(tmp_path).macros() == ()


def test_settings_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"pants\.toml"):
        PantsTargets(tmp_path).macros()
