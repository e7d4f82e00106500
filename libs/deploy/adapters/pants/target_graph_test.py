import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from deploy.adapters.pants.target_graph import PantsTargetGraphs
from deploy.core.ci.target_graph import Target
from deploy.errors import GraphError


def graphs(root: Path) -> PantsTargetGraphs:
    """Returns the graphs of a folder; a revision's name is the folder that has it."""
    return PantsTargetGraphs(root, nullcontext, lambda _: None)


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
    """Makes a folder whose `pants` runs this script."""
    root.mkdir(parents=True, exist_ok=True)
    program = root / "pants"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    (root / "peeked.json").write_text(json.dumps(PEEKED))
    return root


def test_output_of_peek_becomes_a_graph(tmp_path: Path) -> None:
    root = checkout(tmp_path, 'echo warned >&2; [ "$*" = "--tag=[] peek ::" ] && cat peeked.json')
    assert list(graphs(root).read().targets.values()) == [
        Target("libs/a.py", "python_source", ("libs/a.py",), ("3rdparty:r#flask",)),
        Target("3rdparty:r#flask", "python_requirement", (), (), ("flask>=3",)),
    ]


def test_pants_runs_without_its_daemon_if_that_is_busy(tmp_path: Path) -> None:
    busy = 'if [ "$PANTS_PANTSD" != false ]; then echo Waiting... >&2; exit 1; fi; cat peeked.json'
    assert "libs/a.py" in graphs(checkout(tmp_path, busy)).read()


def test_other_revision_is_read_in_its_folder_without_a_daemon(tmp_path: Path) -> None:
    here = checkout(tmp_path / "here", "exit 1")
    script = '[ "$PANTS_PANTSD" = false ] && [ "$(basename "$PWD")" = there ] && cat peeked.json'
    there = checkout(tmp_path / "there", script)
    assert "libs/a.py" in graphs(here).read(str(there))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo; echo one >&2; echo the last >&2; echo >&2; exit 1", "failed: the last"),
        (
            "echo '1 Exception encountered:' >&2; echo; echo '  Wrong: it' >&2; echo ' * :x' >&2; exit 1",
            "failed: Wrong: it",
        ),
        ("exit 7", "failed: exit code 7"),
        ("echo no json", "is not a list of targets"),
        ("echo '{}' ; echo '{}'", "is not a list of targets"),
        ("echo '[{}]'", "is not a list of targets"),
        ("echo '[1]'", "is not a list of targets"),
    ],
)
def test_failure_of_pants_is_reported_with_its_reason(
    tmp_path: Path, script: str, reason: str
) -> None:
    with pytest.raises(GraphError, match=reason):
        graphs(checkout(tmp_path, script)).read()


def test_checkout_without_pants_is_reported(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="can't be started"):
        graphs(tmp_path).read()


def test_macros_and_plugins_are_read_from_pants_toml(tmp_path: Path) -> None:
    (tmp_path / "pants.toml").write_text(
        "[GLOBAL]\nbuild_file_prelude_globs = ['macros/*.py']\npythonpath = ['%(buildroot)s/plugins']\n"
    )
    assert graphs(tmp_path).macros() == ("macros/*.py", "plugins/**")


def test_pants_toml_without_macros_names_none(tmp_path: Path) -> None:
    (tmp_path / "pants.toml").write_text("[source]\n")
    assert graphs(tmp_path).macros() == ()


def test_unreadable_pants_toml_is_reported(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"pants\.toml"):
        graphs(tmp_path).macros()
