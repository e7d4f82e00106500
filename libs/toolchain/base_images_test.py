"""Tests of which base images are missing, with a fake Docker daemon that has one of them."""

from pathlib import Path

from toolchain.base_images import missing_bases, required_bases
from toolchain.docker_daemon_fixture import FakeDockerDaemon

PANTS = """
[docker]
build_args = ["PYTHON_BASE=py-cicd/base-python:0a", "OTHER=py-cicd/base-edge:0b", "X", "Y=debian:13"]
"""


def test_packaging_goals_need_the_bases_that_the_engine_lacks(tmp_path: Path) -> None:
    pants_toml = tmp_path / "pants.toml"
    pants_toml.write_text(PANTS)
    assert required_bases(pants_toml) == {
        "python": "py-cicd/base-python:0a",
        "edge": "py-cicd/base-edge:0b",
    }
    with FakeDockerDaemon(tmp_path / "docker.sock") as fake:
        assert missing_bases(["package", "services/app:image"], pants_toml, fake.daemon) == ["edge"]
        assert missing_bases(["test", "::"], pants_toml, fake.daemon) == []
    assert missing_bases(["package", "::"], pants_toml, FakeDockerDaemon.absent(tmp_path)) == []


def test_packaging_an_image_needs_the_base_that_its_dockerfile_uses(tmp_path: Path) -> None:
    pants_toml = tmp_path / "pants.toml"
    pants_toml.write_text(PANTS)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM ${PYTHON_BASE}\n")
    both = ["python", "edge"]
    assert list(required_bases(pants_toml, ["package", "app:image"])) == ["python"]
    assert list(required_bases(pants_toml, ["package", "app:image", "other:image"])) == both
    assert list(required_bases(pants_toml, ["package", "::"])) == both


def test_the_bases_of_this_repository_are_found() -> None:
    root = Path(__file__).resolve().parents[2]
    assert list(required_bases(root / "pants.toml")) == ["python", "job", "ship"]
