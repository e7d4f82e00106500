"""`ship caches`: sums what the jobs of a pipeline took from Pants' caches. Also limits the size of these caches."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.arguments import VerbParser
from toolchain.errors import UsageError
from toolchain.pants_cache import CacheUse, read_all

EXAMPLE = "example:\n  ./ship caches dist/ci/cache"
FOLDER_VARIABLES = ("PANTS_LOCAL_STORE_DIR", "PANTS_NAMED_CACHES_DIR")
LIMIT_VARIABLE = "SHIP_CACHE_MB"


def parser() -> VerbParser:
    """Returns the parser of the verb's arguments."""
    parser = VerbParser("caches", __doc__, EXAMPLE)
    parser.add_argument(
        "folder", metavar="FOLDER", help="the folder that `ship test` wrote figures to"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def caches(argv: Sequence[str]) -> int:
    """Prints the figures of each job and their sum."""
    args = parser().parse_args(argv)
    uses = read_all(Path(args.folder))
    total = sum(uses.values(), CacheUse())
    if args.json:
        jobs = {job: use.document for job, use in uses.items()}
        document = {
            "ok": True,
            "exit_code": 0,
            "error": None,
            "jobs": jobs,
            "total": total.document,
        }
        print(json.dumps(document))
        return 0
    for job, use in uses.items():
        print(f"{job}: {use.line}")
    print(f"all jobs: {total.line}" if uses else f"no job wrote cache figures to {args.folder}")
    return 0


def enforce_limit(environ: Mapping[str, str]) -> str | None:
    """Deletes Pants' caches if they are larger than SHIP_CACHE_MB. Returns a line about it, None if nothing was done.

    Short-lived jobs end before Pants collects garbage, and a runner that uploads and downloads the caches pays for
    their size. https://www.pantsbuild.org/v2.17/docs/using-pants-in-ci
    """
    limit = environ.get(LIMIT_VARIABLE)
    if not limit:
        return None
    if not limit.isdigit() or int(limit) == 0:
        raise UsageError(
            f"{LIMIT_VARIABLE} is {limit!r}, not a number of MB.",
            "Nothing was run.",
            f"{LIMIT_VARIABLE}=2000",
        )
    folders = [Path(environ[name]) for name in FOLDER_VARIABLES if environ.get(name)]
    size_mb = sum(_size_mb(folder) for folder in folders)
    if size_mb <= int(limit):
        return None
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return f"deleted Pants' caches: they had {size_mb:.0f} MB, the limit is {limit} MB"


def _size_mb(folder: Path) -> float:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            # Blocks, not lengths: the store's files are sparse.
            total += os.lstat(os.path.join(parent, name)).st_blocks * 512
    return total / 1e6
