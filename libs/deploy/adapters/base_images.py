"""Builds base images from Debian packages with mmdebstrap, once for each recipe.

mmdebstrap unpacks the packages without maintainer scripts and without a package manager (`--variant=extract`), and
`core.images.layers` filters the result into one layer. The tool cache has the image's archive under the recipe's key.
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
from deploy.errors import BuildError, ConfigError, UsageError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
COMPILE_C = "/usr/bin/tcc -Wall -Werror -nostdlib -static"
PYTHON = "/usr/bin/python3.13"
COMPILEALL = "-m compileall -q -f --invalidation-mode unchecked-hash"
COMPILE = f"{PYTHON} {COMPILEALL}"
# Beside the source (-b), where Python finds byte code that has none. What helps only beside a source is left out:
# columns of a line, docstrings, assertions (-o 2). That stores a third less and takes 1.4 MB less memory of a service.
COMPILE_SOURCELESS = f"{PYTHON} -X no_debug_ranges {COMPILEALL} -b -o 2"
MOST_BUILDS = 2
"""How many base images are built at the same time."""

KEPT_ARCHIVES = 2
ARCHIVES = "/var/cache/apt/archives"
RESOLVED = "resolved"
SCANNED = ("Package", "Source", "Version", "Architecture", "Maintainer")


def read_recipe(folder: Path) -> Recipe:
    """Returns the recipe in deploy/base/NAME. Raises UsageError for an unknown base, ConfigError for a wrong recipe."""
    try:
        source = (folder / "recipe.toml").read_bytes()
    except FileNotFoundError:
        known = sorted(file.parent.name for file in folder.parent.glob("*/recipe.toml"))
        raise UsageError(
            f"there is no base image {folder.name}; nothing was changed",
            hint=f"one of: {', '.join(known)}",
        ) from None
    values = tomllib.loads(source.decode())
    programs = {path: _source(folder / name) for path, name in values.get("programs", {}).items()}
    return parse_recipe(folder.name, source, values, tuple(_files(folder / "files")), programs)


def _source(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path.parent.name}/recipe.toml: the source of a program can't be read: {path.name}: {error.strerror}"
        ) from error


def _files(folder: Path) -> Iterable[OwnFile]:
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        executable = bool(path.stat().st_mode & 0o100)
        yield OwnFile(path.relative_to(folder).as_posix(), path.read_bytes(), executable)


class Bases:
    """The base images of a checkout.

    Recipes are under `recipes`, archives of images and downloaded packages under `cache`. `mirror` is the URL of the
    Debian archive that this machine uses.
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

    def has(self, name: str) -> bool:
        """Returns whether the engine has a base image."""
        return self._engine.has(read_recipe(self._recipes / name).image)

    def ensure(self, name: str) -> str:
        """Returns a base image's name in the engine. Builds and loads the image if the engine lacks it."""
        recipe = read_recipe(self._recipes / name)
        if not self._engine.has(recipe.image):
            archive = self._archive(recipe)
            with archive.open("rb") as stream:
                self._engine.load(stream)
        return recipe.image

    def ensure_all(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the names in the engine by base, after the same as `ensure` for each."""
        listed = list(names)
        with ThreadPoolExecutor(MOST_BUILDS) as pool:
            return dict(zip(listed, pool.map(self.ensure, listed), strict=True))

    def _archive(self, recipe: Recipe) -> Path:
        archive = self._archives / f"{recipe.name}-{recipe.key}.tar"
        if not archive.exists():
            self._say(f"base image {recipe.name}: building from Debian {recipe.suite}, once")
            self._archives.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f"{recipe.name}-", dir=self._archives) as work:
                built = self._build(recipe, Path(work))
                built.rename(archive)
            self._prune(recipe.name)
        return archive

    def _prune(self, name: str) -> None:
        """Removes all but the newest archives of a base image. Images in an engine stay."""
        archives = sorted(
            self._archives.glob(f"{name}-*.tar"), key=lambda file: file.stat().st_mtime
        )
        for archive in archives[:-KEPT_ARCHIVES]:
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
        without = [deb for deb in unpacked if _package(deb) in recipe.left_out]
        present = [deb for deb in unpacked if deb not in without]
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
    """Returns mmdebstrap's argv. It takes packages from `kept` if they are there, and leaves all packages in `debs`."""
    packages = " ".join(recipe.unpacked)
    simulate = f'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq -s install {packages}'
    compiled = [
        *(f'--extract-hook=chroot "$1" {COMPILE} {folder}' for folder in recipe.compile),
        *(
            f'--extract-hook=chroot "$1" {COMPILE_SOURCELESS} {folder}'
            for folder in recipe.sourceless
        ),
    ]
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
        # Some mirrors are not updated before the release file of a testing suite expires. The signature is still
        # checked, so such a mirror can only provide older packages.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        # mmdebstrap's own hooks: as a plain user, a shell hook may lack access to these folders.
        f'--setup-hook=mkdir -p "$1"{ARCHIVES}',
        f"--setup-hook=sync-in {shlex.quote(str(kept))} {ARCHIVES}",
        # Lists the packages of this image among all in the folder: apt simulates the same installation again.
        f'--extract-hook={simulate} > "$1"{ARCHIVES}/{RESOLVED}',
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
            "mmdebstrap, which builds the base images, is not installed; nothing was built",
            hint="./ship doctor --fix",
        )
    command = bootstrap_command(recipe, mirror, kept, debs, system)
    environment = {
        # PYTHONHOME and the like must not apply to the Python in the image.
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "SOURCE_DATE_EPOCH": str(recipe.epoch),
        "PYTHONHASHSEED": "0",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-12:])
        raise BuildError(
            f"base image {recipe.name} was not built: mmdebstrap failed ({done.returncode}); nothing was kept:\n{last}",
            hint="./ship doctor, then run this again",
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
    """Returns the packages of the image among those in the folder."""
    lines = (debs / RESOLVED).read_text().splitlines()
    names = {line.split()[1] for line in lines if line.startswith("Inst ")}
    return sorted(deb for deb in debs.glob("*.deb") if _package(deb) in names)


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
    """Returns dpkg's list of installed packages, which vulnerability scanners read."""
    paragraphs = []
    for deb in debs:
        fields = subprocess.run(
            ["dpkg-deb", "-f", str(deb), *SCANNED], capture_output=True, check=True
        ).stdout
        paragraphs.append(b"Status: install ok installed\n" + fields.strip() + b"\n")
    return b"\n".join(paragraphs)
