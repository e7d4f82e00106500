"""The scripts that ShellCheck gets are those that run."""

from __future__ import annotations

from pathlib import Path

import pytest

import deploy.core
from deploy.core.commands import files, locks
from deploy.errors import ConfigError
from deploy.testing.embedded_scripts import scripts_of, write_scripts

CORE = Path(deploy.core.__file__).parent


def test_scripts_are_constants_with_their_values_filled_in() -> None:
    source = 'def argv(path):\n    return ["sh", "-c", _READ, "sh", path]\n\nTRUE = ("sh", "-c", "true")\n'
    assert sorted(scripts_of(source, {"_READ": "exit 44\n"})) == [
        ("_READ", "exit 44\n"),
        ("line-4", "true"),
    ]


def test_other_argv_are_no_scripts() -> None:
    assert list(scripts_of('["sh", "script"]\n["docker", "-c", "x"]\n["sh", "-c"]\n', {})) == []


@pytest.mark.parametrize("script", ['f"rm {path}"', "path", '"rm " + path'])
def test_a_script_that_is_put_together_at_run_time_is_refused(script: str) -> None:
    with pytest.raises(ConfigError, match=r"line 2: the script .* is not a constant"):
        list(scripts_of(f'def argv(path):\n    return ["sh", "-c", {script}]\n', {}))


def test_the_scripts_of_real_modules_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CORE.parents[2])
    modules = [Path("libs/deploy/core/commands") / f"{name}.py" for name in ("locks", "files")]
    write_scripts(tmp_path / "scripts", modules)
    texts = {file.name: file.read_text() for file in (tmp_path / "scripts").iterdir()}
    assert texts["deploy.core.commands.locks._TAKE.sh"] == locks.take("token", "{}")[2]
    assert texts["deploy.core.commands.files._PLACE.sh"] == files.place("folder")[2]
