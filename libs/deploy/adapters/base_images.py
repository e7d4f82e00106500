"""Builds base images from Debian's packages with mmdebstrap, once per content; never talks to a registry.

mmdebstrap unpacks the packages (`--variant=extract`: no maintainer script runs, no package manager is left inside);
`core.images.layers` filters that into one layer. The image's archive is kept in the tool cache by the recipe's key.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from deploy.core.images.layers import write_layer
from deploy.core.images.oci import ArchivedLayer, config_bytes, rfc3339, started_with, write_archive
from deploy.core.images.ports import ImageStore
from deploy.core.images.recipes import (
    OwnFile,
    Recipe,
    parse_recipe,
)
from deploy.core.ports import Say
from deploy.errors import BuildError, UsageError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
COMPILE_C = "/usr/bin/tcc -Wall -Werror -nostdlib -static"
COMPILE = "/usr/bin/python3.13 -m compileall -q -f --invalidation-mode unchecked-hash"
AT_ONCE = 2
KEPT_ARCHIVES = 2
ARCHIVES = "/var/cache/apt/archives"
RESOLVED = "resolved"
SCANNED = ("Package", "Source", "Version", "Architecture", "Maintainer")


def read_recipe(folder: Path) -> Recipe:
    """Reads deploy/base/NAME. Raises UsageError for an unknown base, ConfigError for a wrong recipe."""
    try:
        source = (folder / "recipe.toml").read_bytes()
    except FileNotFoundError:
        known = sorted(each.parent.name for each in folder.parent.glob("*/recipe.toml"))
        raise UsageError(
            f"there is no base image {folder.name}", hint=f"one of: {', '.join(known)}"
        ) from None
    values = tomllib.loads(source.decode())
    programs = {
        path: (folder / name).read_bytes() for path, name in values.get("programs", {}).items()
    }
    return parse_recipe(folder.name, source, values, tuple(_files(folder / "files")), programs)


def _files(folder: Path) -> Iterable[OwnFile]:
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        executable = bool(path.stat().st_mode & 0o100)
        yield OwnFile(path.relative_to(folder).as_posix(), path.read_bytes(), executable)


class Bases:
    """The base images of a checkout: recipes under `recipes`, archives and downloads under `cache`.

    `mirror` is the Debian archive that this machine uses.
    """

    def __init__(
        self, recipes: Path, cache: Path, engine: ImageStore, say: Say, *, mirror: str
    ) -> None:
        self._mirror = mirror
        self._recipes = recipes
        self._archives = cache / "bases"
        self._packages = cache / "packages"
        self._engine = engine
        self._say = say

    def ensure(self, name: str) -> str:
        """Returns a base's name in the engine, where it is built or loaded if missing."""
        recipe = read_recipe(self._recipes / name)
        if not self._engine.has(recipe.image):
            archive = self._archive(recipe)
            with archive.open("rb") as stream:
                self._engine.load(stream)
        return recipe.image

    def ensure_all(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the names in the engine by base, two built at a time."""
        wanted = list(names)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(wanted, pool.map(self.ensure, wanted), strict=True))

    def _archive(self, recipe: Recipe) -> Path:
        archive = self._archives / f"{recipe.name}-{recipe.key}.tar"
        if not archive.exists():
            self._say(
                f"base image {recipe.name}: building from Debian {recipe.suite} (about 20 s, once)"
            )
            self._archives.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f"{recipe.name}-", dir=self._archives) as work:
                built = self._build(recipe, Path(work))
                built.rename(archive)
            self._forget(recipe.name)
        return archive

    def _forget(self, name: str) -> None:
        """Removes a base's archives but the newest; what an engine loaded from them stays."""
        kept = sorted(self._archives.glob(f"{name}-*.tar"), key=lambda each: each.stat().st_mtime)
        for archive in kept[:-KEPT_ARCHIVES]:
            archive.unlink(missing_ok=True)

    def _build(self, recipe: Recipe, work: Path) -> Path:
        debs = work / "debs"
        kept = self._packages / recipe.suite
        own = work / "kept"
        debs.mkdir()
        kept.mkdir(parents=True, exist_ok=True)
        _copy_packages(kept, own)
        for path, source_text in recipe.programs.items():
            (own / _source_name(path)).write_bytes(source_text)
        system = work / "system.tar"
        _bootstrap(recipe, self._mirror, own, debs, system)
        _keep(debs, kept)
        unpacked = _unpacked(debs)
        without = [each for each in unpacked if _package(each) in recipe.left_out]
        present = [each for each in unpacked if each not in without]
        with system.open("rb") as source, (work / "layer.tar").open("wb") as target:
            layer = write_layer(
                recipe, source, target, absent=_contents(without), status=_status(present)
            )
        system.unlink()
        return _image(recipe, work, layer.digest, layer.size)


def _image(recipe: Recipe, work: Path, diff_id: str, size: int) -> Path:
    labels = {
        "org.opencontainers.image.title": f"base-{recipe.name}",
        "org.opencontainers.image.version": recipe.key,
    }
    config = config_bytes(
        started_with(recipe.config, labels), [diff_id], created=rfc3339(recipe.epoch)
    )
    with (work / "layer.tar").open("rb") as content, (work / "image.tar").open("wb") as target:
        write_archive(config, [ArchivedLayer(diff_id, size, content)], recipe.image, target)
    return work / "image.tar"


def bootstrap_command(
    recipe: Recipe, mirror: str, kept: Path, debs: Path, system: Path
) -> list[str]:
    """Builds mmdebstrap's argv: packages come from `kept` where they are there, and all end in `debs`."""
    packages = " ".join(recipe.unpacked)
    asked = f'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq -s install {packages}'
    compiled = [f'--extract-hook=chroot "$1" {COMPILE} {folder}' for folder in recipe.compile]
    programs = [
        f'--extract-hook=mkdir -p "$1"/{PurePosixPath(path).parent} && '
        f'chroot "$1" {COMPILE_C} -o /{path} {ARCHIVES}/{_source_name(path)}'
        for path in recipe.programs
    ]
    return [
        "mmdebstrap",
        "--variant=extract",
        f"--include={','.join(recipe.unpacked)}",
        "--architectures=amd64",
        "--skip=download/empty",
        # Some mirrors stand still past the date that a testing release file bears. Its signature is checked all
        # the same: such a mirror can give older packages, never foreign ones.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        # mmdebstrap's own hooks, since a shell's may not reach these folders as a plain user.
        f'--setup-hook=mkdir -p "$1"{ARCHIVES}',
        f"--setup-hook=sync-in {shlex.quote(str(kept))} {ARCHIVES}",
        # Which of the packages at hand are in this image: apt resolves once more what it has just resolved.
        f'--extract-hook={asked} > "$1"{ARCHIVES}/{RESOLVED}',
        f"--extract-hook=sync-out {ARCHIVES} {shlex.quote(str(debs))}",
        *compiled,
        *programs,
        recipe.suite,
        str(system),
        f"deb [signed-by={KEYRING}] {mirror} {recipe.suite} main",
    ]


def _bootstrap(recipe: Recipe, mirror: str, kept: Path, debs: Path, system: Path) -> None:
    if shutil.which("mmdebstrap") is None:
        raise BuildError(
            "mmdebstrap, which base images are made with, is not installed",
            hint="./ship doctor --fix",
        )
    command = bootstrap_command(recipe, mirror, kept, debs, system)
    environment = {
        # The Python in the image must not look for its library where ours is told to.
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "SOURCE_DATE_EPOCH": str(recipe.epoch),
        "PYTHONHASHSEED": "0",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-12:])
        raise BuildError(
            f"base image {recipe.name} was not built; nothing was kept:\n{last}",
            hint="./ship doctor, then the same command again",
        )


def _copy_packages(kept: Path, own: Path) -> None:
    """Copies the kept packages into the build's own folder, where no other build changes them.

    mmdebstrap packs that folder with tar, which fails when a file changes meanwhile, and a hard link made or removed
    anywhere changes the file's ctime. A package that appears during the copy is complete: `_keep` links whole files.
    """
    own.mkdir()
    for deb in kept.glob("*.deb"):
        shutil.copyfile(deb, own / deb.name)


def _source_name(program: str) -> str:
    """Returns the name of a program's C source in the folder of packages, which the build can read."""
    return f"{PurePosixPath(program).name}.c"


def _keep(debs: Path, kept: Path) -> None:
    for deb in debs.glob("*.deb"):
        with suppress(FileExistsError):
            (kept / deb.name).hardlink_to(deb)


def _unpacked(debs: Path) -> list[Path]:
    """The packages that mmdebstrap unpacked, of those that lay there."""
    said = (debs / RESOLVED).read_text().splitlines()
    names = {line.split()[1] for line in said if line.startswith("Inst ")}
    return sorted(each for each in debs.glob("*.deb") if _package(each) in names)


def _package(deb: Path) -> str:
    return deb.name.partition("_")[0]


def _contents(debs: Iterable[Path]) -> frozenset[str]:
    paths: set[str] = set()
    for deb in debs:
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE
        ) as unpacking:
            paths |= _file_paths(unpacking.stdout) if unpacking.stdout else set()
    return frozenset(paths)


def _file_paths(stream: IO[bytes]) -> set[str]:
    with tarfile.open(fileobj=stream, mode="r|") as members:
        return {member.name.removeprefix("./") for member in members if not member.isdir()}


def _status(debs: Iterable[Path]) -> bytes:
    """Writes dpkg's own list of what is installed: scanners look packages up in it."""
    paragraphs = []
    for deb in debs:
        fields = subprocess.run(
            ["dpkg-deb", "-f", str(deb), *SCANNED], capture_output=True, check=True
        ).stdout
        paragraphs.append(b"Status: install ok installed\n" + fields.strip() + b"\n")
    return b"\n".join(paragraphs)
