"""Tests of which bases are brought, against an engine that has one."""

from pathlib import Path

from toolchain.base_images import missing_bases, wanted_bases
from toolchain.engine_fixture import ServedEngine

PANTS = """
[docker]
build_args = ["PYTHON_BASE=py-cicd/base-python:0a", "OTHER=py-cicd/base-edge:0b", "X", "Y=debian:13"]
"""


def test_only_a_packaging_goal_and_only_what_the_engine_lacks(tmp_path: Path) -> None:
    pants_toml = tmp_path / "pants.toml"
    pants_toml.write_text(PANTS)
    assert wanted_bases(pants_toml) == {
        "python": "py-cicd/base-python:0a",
        "edge": "py-cicd/base-edge:0b",
    }
    with ServedEngine(tmp_path / "docker.sock") as served:
        assert missing_bases(["package", "services/app:image"], pants_toml, served.engine) == [
            "edge"
        ]
        assert missing_bases(["test", "::"], pants_toml, served.engine) == []
    assert missing_bases(["package", "::"], pants_toml, ServedEngine.nobody(tmp_path)) == []


def test_an_image_brings_the_base_that_its_dockerfile_names(tmp_path: Path) -> None:
    pants_toml = tmp_path / "pants.toml"
    pants_toml.write_text(PANTS)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM ${PYTHON_BASE}\n")
    both = ["python", "edge"]
    assert list(wanted_bases(pants_toml, ["package", "app:image"])) == ["python"]
    assert list(wanted_bases(pants_toml, ["package", "app:image", "other:image"])) == both
    assert list(wanted_bases(pants_toml, ["package", "::"])) == both


def test_this_repository_names_its_bases() -> None:
    root = Path(__file__).resolve().parents[2]
    assert list(wanted_bases(root / "pants.toml")) == ["python", "job", "ship"]
