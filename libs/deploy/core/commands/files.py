"""Writes and removes files on a host."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

from deploy.core.commands.paths import chronicles

KEPT_ROLLOUT_LOGS = 100

# $1 folder. A tar on stdin becomes the folder, whole or not at all. Secrets that replicas in it read are moved, not
# copied: a replica's mount is of that very folder. A kill may have left them where they were moved to.
_PLACE = """
if [ -d "$1.new/secrets" ] && [ ! -d "$1/secrets" ]; then
  mkdir -p "$1" && mv -T "$1.new/secrets" "$1/secrets" || exit 1
fi
rm -rf "$1.new" && mkdir -p "$1.new" && tar -x -C "$1.new" && sync "$1.new" || exit 1
if [ -d "$1/secrets" ]; then mv -T "$1/secrets" "$1.new/secrets" || exit 1; fi
rm -rf "$1" && mv -T "$1.new" "$1"
"""


# $1 folder. A tar on stdin is laid over the folder.
_OVERLAY = 'mkdir -p "$1" && tar -x -C "$1"'


# $1 folder. Of a tar on stdin only what is missing in the folder is written.
_SEED = 'mkdir -p "$1" && tar -x --skip-old-files -C "$1"'


# $1 folder, $2 file, $3 how many are kept; the text on stdin.
_KEEP = """
mkdir -p "$1" && cd "$1" && cat > "$2.new" && mv "$2.new" "$2" || exit 1
find . -maxdepth 1 -name '*.json' | sort | head -n "-$3" | xargs -r rm -f --
"""


def place(folder: str) -> list[str]:
    """Makes a folder from a tar on stdin, whole or not at all."""
    return ["sh", "-c", _PLACE, "place", folder]


def overlay(folder: str) -> list[str]:
    """Lays a tar on stdin over a folder."""
    return ["sh", "-c", _OVERLAY, "overlay", folder]


def seed(folder: str) -> list[str]:
    """Lays a tar on stdin under a folder: what is there already stays as it is."""
    return ["sh", "-c", _SEED, "seed", folder]


def keep_rollout_log(service: str, turn: int) -> list[str]:
    """Writes a rollout log (stdin) and removes all but the last KEPT_ROLLOUT_LOGS."""
    return [
        "sh",
        "-c",
        _KEEP,
        "keep",
        chronicles(service),
        f"{turn:06d}.json",
        str(KEPT_ROLLOUT_LOGS),
    ]


def remove_folders(folders: Iterable[str]) -> list[str]:
    """Removes folders and all in them."""
    return ["rm", "-rf", *folders]


def tar_of(files: Iterable[tuple[str, str, int]]) -> bytes:
    """Packs (path, text, mode) as a tar, in memory."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text, mode in files:
            content = text.encode()
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()
