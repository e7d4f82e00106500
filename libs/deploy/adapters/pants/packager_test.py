from pathlib import Path

import pytest

from deploy.adapters.pants.packager import PantsPackager
from deploy.errors import BuildError


def _checkout(root: Path, script: str) -> PantsPackager:
    """Returns a packager of a folder whose ./pants runs this script."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "pants").write_text(f"#!/bin/sh\n{script}\n")
    (root / "pants").chmod(0o755)
    return PantsPackager(root)


def test_inputs_are_sorted(tmp_path: Path) -> None:
    pants = _checkout(tmp_path / "a space", 'echo "$@" >&2; echo b.py; echo a.py')
    assert pants.inputs("services/app:image") == ("a.py", "b.py")


def test_package_returns_the_image_id_that_pants_wrote(tmp_path: Path) -> None:
    info = '{"version": 1, "image_id": "4e2a5216eaf2"}'
    script = f"mkdir -p dist/services.app; echo '{info}' > dist/services.app/image.docker-info.json"
    assert _checkout(tmp_path, script).package("services/app:image") == "4e2a5216eaf2"


def test_failure_shows_the_last_lines(tmp_path: Path) -> None:
    pants = _checkout(tmp_path, "seq 100 >&2; echo 'ModuleNotFoundError: app' >&2; exit 3")
    with pytest.raises(BuildError) as raised:
        pants.package("services/app:image")
    assert raised.value.message.endswith("99\n100\nModuleNotFoundError: app")
    assert "\n76\n" not in raised.value.message
    assert raised.value.hint == "./pants package services/app:image"


def test_target_that_is_no_image_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="names no image; nothing was published"):
        _checkout(tmp_path, "true").package("services/app:bin")


def test_checkout_without_pants_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="can't be started"):
        PantsPackager(tmp_path).inputs("services/app:image")
