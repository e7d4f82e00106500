"""Splits a venv into the layers of an image: OUT/1 is the bottom one, OUT/2 lies over it.

Every file and folder gets the same time, so that equal content gives an equal layer on any machine.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import PathDistribution
from pathlib import Path, PurePosixPath

from pex_layers.grouping import group_distributions, layer_of_source
from pex_layers.venv import EPOCH, SITE

type LayerOf = Callable[[str], int]
"""The layer, from 0 at the bottom, of a file of site-packages."""


def split_dependencies(venv: Path, out: Path, layers: int) -> None:
    """Splits third-party distributions. The venv itself is in the bottom layer."""
    owners = _owners(venv / SITE)
    sizes = dict.fromkeys(owners.values(), 0)
    for path, owner in owners.items():
        sizes[owner] += (venv / SITE / path).stat().st_size
    groups = group_distributions(sizes, layers)
    for number, names in enumerate(groups, 1):
        print(f"layer {number}: {', '.join(names)}")
    numbers = {name: number for number, names in enumerate(groups) for name in names}
    _split("deps", venv, out, layers, lambda path: numbers[owners[path]] if path in owners else 0)


def split_sources(venv: Path, out: Path, layers: int, own: str) -> None:
    """Splits our own code: libraries in the bottom layer, the files of the package `own` over them."""
    _split("srcs", venv, out, layers, lambda path: layer_of_source(source_of(path), own, layers))


def source_of(path: str) -> str:
    """Returns the source of a file of byte code, and any other path as it is."""
    file = PurePosixPath(path)
    if file.suffix != ".pyc" or file.parent.name != "__pycache__":
        return path
    return str(file.parent.parent / f"{file.name.partition('.')[0]}.py")


def _owners(site: Path) -> dict[str, str]:
    """Returns the distribution of each file of site-packages, by the lists that the distributions bring."""
    owners = {}
    for info in sorted(site.glob("*.dist-info")):
        name = PathDistribution(info).name
        with (info / "RECORD").open(newline="") as record:
            listed = {row[0] for row in csv.reader(record) if row}
        listed.update(str(file.relative_to(site)) for file in info.rglob("*") if file.is_file())
        owners.update(dict.fromkeys(listed, name))
    return {
        path: owner
        for path in _files(site)
        if (owner := owners.get(path) or owners.get(source_of(path)))
    }


def _files(folder: Path) -> Iterator[str]:
    """Returns every file and link below a folder, relative to it."""
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted(names + links):
            yield str((Path(parent) / name).relative_to(folder))


def _split(scope: str, venv: Path, out: Path, layers: int, layer_of: LayerOf) -> None:
    """Moves the venv's files to their layers, each with the folders that it stands in.

    Each layer also gets an empty file with a name of its own: docker build without BuildKit fails with "layer does not
    exist" if a COPY changes nothing, as it would where there are fewer files than layers.
    """
    roots = [out / str(number) for number in range(1, layers + 1)]
    for root in roots:
        mark = root / venv.relative_to("/") / ".layers" / f"{scope}-{root.name}"
        mark.parent.mkdir(parents=True)
        mark.touch()
    for path in list(_files(venv)):
        inside = path.removeprefix(f"{SITE}/")
        root = roots[layer_of(inside) if inside != path else 0]
        target = root / venv.relative_to("/") / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(venv / path, target)
    for each in (*out.rglob("*"), out):
        os.utime(each, (EPOCH, EPOCH), follow_symlinks=False)
