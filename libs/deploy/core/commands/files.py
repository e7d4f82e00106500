"""Writes and removes files on a host."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

from deploy.core.commands.paths import rollout_logs

KEPT_ROLLOUT_LOGS = 100

# $1 folder. The tar on stdin replaces the folder, whole or not at all. `secrets` is moved into the new folder, not
# copied, because running replicas have it mounted. An interrupted call may have left it in `$1.new`.
_PLACE = """
if [ -d "$1.new/secrets" ] && [ ! -d "$1/secrets" ]; then
  mkdir -p "$1" && mv -T "$1.new/secrets" "$1/secrets" || exit 1
fi
rm -rf "$1.new" && mkdir -p "$1.new" && tar -x -C "$1.new" && sync "$1.new" || exit 1
if [ -d "$1/secrets" ]; then mv -T "$1/secrets" "$1.new/secrets" || exit 1; fi
rm -rf "$1" && mv -T "$1.new" "$1"
"""

# $1 folder. Extracts the tar on stdin into the folder.
_OVERLAY = 'mkdir -p "$1" && tar -x -C "$1"'

# $1 folder. Extracts from the tar on stdin only the files that the folder lacks.
_SEED = 'mkdir -p "$1" && tar -x --skip-old-files -C "$1"'

# $1 folder, $2 file, $3 number of files to keep; the text on stdin.
_KEEP = """
umask 077
mkdir -p "$1" && cd "$1" && cat > "$2.new" && mv "$2.new" "$2" || exit 1
find . -maxdepth 1 -name '*.json' | sort | head -n "-$3" | xargs -r rm -f --
"""


def place(folder: str) -> list[str]:
    """Replaces a folder by a tar on stdin, whole or not at all."""
    return ["sh", "-c", _PLACE, "place", folder]


def overlay(folder: str) -> list[str]:
    """Extracts a tar on stdin into a folder."""
    return ["sh", "-c", _OVERLAY, "overlay", folder]


def seed(folder: str) -> list[str]:
    """Extracts a tar on stdin into a folder; files that exist stay as they are."""
    return ["sh", "-c", _SEED, "seed", folder]


def keep_rollout_log(service: str, turn: int) -> list[str]:
    """Writes a rollout log (stdin) and removes all but the last KEPT_ROLLOUT_LOGS."""
    return [
        "sh",
        "-c",
        _KEEP,
        "keep",
        rollout_logs(service),
        f"{turn:06d}.json",
        str(KEPT_ROLLOUT_LOGS),
    ]


def remove_folders(folders: Iterable[str]) -> list[str]:
    """Removes folders with their contents."""
    return ["rm", "-rf", *folders]


def tar_of(files: Iterable[tuple[str, str, int]]) -> bytes:
    """Returns a tar of (path, text, mode) files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text, mode in files:
            content = text.encode()
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()
