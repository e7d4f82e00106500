import os
import tomllib
from pathlib import Path
from typing import IO

import pytest

from deploy.adapters import base_images
from deploy.adapters.base_images import (
    Bases,
    bootstrap_command,
    read_recipe,
)
from deploy.core.images.recipes import Recipe
from deploy.errors import BuildError, UsageError

ROOT = Path(__file__).resolve().parents[3]
RECIPES = ROOT / "deploy" / "base"
MIRROR = "http://mirror/debian"


@pytest.mark.parametrize("name", ["edge", "host", "job", "prometheus", "python", "registry"])
def test_recipes_are_complete(name: str) -> None:
    recipe = read_recipe(RECIPES / name)
    assert recipe.packages
    assert {"etc/passwd", "etc/nsswitch.conf"} <= {file.path for file in recipe.files}
    assert not set(recipe.packages) & set(recipe.without)


@pytest.mark.parametrize("name", ["edge", "prometheus", "python"])
def test_images_for_production_do_not_run_as_root(name: str) -> None:
    assert read_recipe(RECIPES / name).config["user"] == "10001:10001"


def test_pants_toml_names_the_bases_of_this_checkout() -> None:
    settings = tomllib.loads((ROOT / "pants.toml").read_text())
    names = {"PYTHON_BASE": "python", "JOB_BASE": "job", "SHIP_BASE": "ship"}
    expected = [f"{key}={read_recipe(RECIPES / name).image}" for key, name in names.items()]
    assert settings["docker"]["build_args"] == expected, f"write in pants.toml: {expected}"


def test_unknown_base_is_reported_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as raised:
        read_recipe(RECIPES / "pyhton")
    assert (
        raised.value.hint == "one of: alerting, edge, host, job, prometheus, python, registry, ship"
    )


def test_base_in_the_engine_is_not_built(tmp_path: Path) -> None:
    engine = _FullEngine()
    bases = Bases(RECIPES, tmp_path, engine, engine.queries.append, mirror=MIRROR)
    assert bases.ensure("edge") == read_recipe(RECIPES / "edge").image
    assert read_recipe(RECIPES / "edge").key in engine.queries[0]
    assert list(tmp_path.iterdir()) == []


def test_archive_in_the_cache_is_loaded(tmp_path: Path) -> None:
    recipe = read_recipe(RECIPES / "edge")
    archive = tmp_path / "bases" / f"edge-{recipe.key}.tar"
    archive.parent.mkdir()
    archive.write_bytes(b"an image")
    engine = _EmptyEngine()
    assert Bases(RECIPES, tmp_path, engine, print, mirror=MIRROR).ensure_all(["edge"]) == {
        "edge": recipe.image
    }
    assert engine.loaded == [b"an image"]


class _FullEngine:
    """An engine that has every image."""

    def __init__(self) -> None:
        self.queries: list[str] = []

    def has(self, reference: str) -> bool:
        self.queries.append(reference)
        return True

    def load(self, archive: IO[bytes]) -> None:
        raise AssertionError(archive)


class _EmptyEngine:
    """An engine that has no image."""

    def __init__(self) -> None:
        self.loaded: list[bytes] = []

    def has(self, reference: str) -> bool:
        del reference
        return False

    def load(self, archive: IO[bytes]) -> None:
        self.loaded.append(archive.read())


def test_command_line_of_mmdebstrap() -> None:
    recipe: Recipe = read_recipe(RECIPES / "python")
    kept, debs, system = (Path("/kept in") / name for name in ("k", "d", "s.tar"))
    command = bootstrap_command(recipe, MIRROR, kept, debs, system)
    assert command[0] == "mmdebstrap"
    assert command[-3:] == [
        "trixie",
        "/kept in/s.tar",
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror/debian trixie main",
    ]
    _, give, resolve, take, compiled, program = [each for each in command if "hook=" in each]
    assert give == "--setup-hook=sync-in '/kept in/k' /var/cache/apt/archives"
    assert "install base-files python3.13-minimal" in resolve
    assert take == "--extract-hook=sync-out /var/cache/apt/archives '/kept in/d'"
    assert "python3.13 -X no_debug_ranges -m compileall" in compiled
    assert compiled.endswith("unchecked-hash -b -o 2 /usr/lib/python3.13")
    assert '"$1"/usr/local/bin && chroot "$1" /usr/bin/tcc' in program
    assert program.endswith("-o /usr/local/bin/healthcheck /var/cache/apt/archives/healthcheck.c")


def test_newest_two_archives_of_a_base_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "bases"
    folder.mkdir()
    for at, name in enumerate(["edge-3", "edge-1", "edge-2", "host-0"]):
        (folder / f"{name}.tar").touch()
        os.utime(folder / f"{name}.tar", (at, at))
    Bases(RECIPES, tmp_path, _FullEngine(), print, mirror=MIRROR)._prune("edge")
    assert {each.stem for each in folder.iterdir()} == {"edge-1", "edge-2", "host-0"}


def test_a_build_reads_packages_that_no_other_build_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "packages" / read_recipe(RECIPES / "edge").suite
    shared.mkdir(parents=True)
    (shared / "nginx_1.30_amd64.deb").write_bytes(b"nginx")

    def state(folder: Path) -> dict[str, tuple[bytes, int, int]]:
        return {
            file.name: (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ctime_ns)
            for file in folder.iterdir()
        }

    def bootstrap(recipe: Recipe, mirror: str, kept: Path, debs: Path, system: Path) -> None:
        before = state(kept)
        assert {name: content for name, (content, *_) in before.items()} == {
            "nginx_1.30_amd64.deb": b"nginx"
        }
        # What another build does meanwhile: it keeps a package and removes its own link to it.
        other = tmp_path / "other.deb"
        other.write_bytes(b"zlib")
        (shared / "zlib1g_1.3_amd64.deb").hardlink_to(other)
        other.unlink()
        link = tmp_path / "link.deb"
        link.hardlink_to(shared / "nginx_1.30_amd64.deb")
        link.unlink()
        assert state(kept) == before
        raise BuildError("stopped after the packages were read")

    monkeypatch.setattr(base_images, "_bootstrap", bootstrap)
    with pytest.raises(BuildError, match="stopped after"):
        Bases(RECIPES, tmp_path, _EmptyEngine(), print, mirror=MIRROR).ensure("edge")
