"""`ship caches`: what a pipeline's jobs took from Pants' caches; and the bound on what a runner keeps of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from toolchain.arguments import Arguments
from toolchain.errors import UsageError
from toolchain.pants_cache import CacheUse, read_all

EXAMPLE = "example:\n  ./ship caches dist/ci/cache"
FOLDERS = ("PANTS_LOCAL_STORE_DIR", "PANTS_NAMED_CACHES_DIR")
BOUND = "SHIP_CACHE_MB"


def parser() -> Arguments:
    """Returns the arguments of the verb."""
    parser = Arguments("caches", __doc__, EXAMPLE)
    parser.add_argument(
        "folder", metavar="FOLDER", help="the folder that `ship test` wrote figures to"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def caches(argv: Sequence[str]) -> int:
    """Prints each job's figures and their sum."""
    args = parser().parse_args(argv)
    found = read_all(Path(args.folder))
    total = sum(found.values(), CacheUse())
    if args.json:
        jobs = {job: asdict(use) for job, use in found.items()}
        document = {"ok": True, "exit_code": 0, "error": None, "jobs": jobs, "total": asdict(total)}
        print(json.dumps(document))
        return 0
    for job, use in found.items():
        print(f"{job}: {use.line}")
    print(f"all jobs: {total.line}" if found else "no job told of its cache")
    return 0


def bound(environ: Mapping[str, str]) -> str:
    """Leaves caches that have outgrown SHIP_CACHE_MB and says so; without that variable, does nothing.

    Pants never takes anything out of a store by itself while jobs are short, and a cache that is carried to and fro
    costs more the larger it is. https://www.pantsbuild.org/v2.17/docs/using-pants-in-ci
    """
    said = environ.get(BOUND, "")
    if not said:
        return ""
    if not said.isdigit() or int(said) == 0:
        raise UsageError(f"{BOUND} is {said!r}.", "Nothing was run.", f"{BOUND}=2000, in MB")
    folders = [Path(environ[name]) for name in FOLDERS if environ.get(name)]
    sizes = {folder: _size_mb(folder) for folder in folders}
    if sum(sizes.values()) <= int(said):
        return ""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return f"Pants' caches had grown to {sum(sizes.values()):.0f} MB of {said}: they begin anew"


def _size_mb(folder: Path) -> float:
    total = 0
    for here, _, files in os.walk(folder):
        for name in files:
            # Blocks, not lengths: the store's files are sparse.
            total += os.lstat(os.path.join(here, name)).st_blocks * 512
    return total / 1e6
