from pathlib import Path

import pytest

from deploy.adapters.pants.packager import Pants
from deploy.errors import BuildError


def _checkout(root: Path, script: str) -> Pants:
    """A folder whose ./pants is a program of the test."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "pants").write_text(f"#!/bin/sh\n{script}\n")
    (root / "pants").chmod(0o755)
    return Pants(root)


def test_inputs_are_what_pants_lists(tmp_path: Path) -> None:
    pants = _checkout(tmp_path / "a space", 'echo "$@" >&2; echo b.py; echo a.py')
    assert pants.inputs("services/app:image") == ("a.py", "b.py")


def test_a_package_is_the_image_whose_id_pants_wrote(tmp_path: Path) -> None:
    told = '{"version": 1, "image_id": "4e2a5216eaf2"}'
    script = f"mkdir -p dist/services.app; echo '{told}' > dist/services.app/image.docker-info.json"
    assert _checkout(tmp_path, script).package("services/app:image") == "4e2a5216eaf2"


def test_a_failure_shows_the_last_lines(tmp_path: Path) -> None:
    pants = _checkout(tmp_path, "seq 100 >&2; echo 'ModuleNotFoundError: app' >&2; exit 3")
    with pytest.raises(BuildError) as raised:
        pants.package("services/app:image")
    assert raised.value.message.endswith("99\n100\nModuleNotFoundError: app")
    assert "\n76\n" not in raised.value.message
    assert raised.value.hint == "./pants package services/app:image"


def test_a_target_that_is_no_image_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="is it a docker_image"):
        _checkout(tmp_path, "true").package("services/app:bin")


def test_a_checkout_without_pants_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="can't be started"):
        Pants(tmp_path).inputs("services/app:image")
