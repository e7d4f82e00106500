"""Keeps the logs of removed replicas on their host: builds the commands, and parses what they print.

Texts travel compressed, because a log line repeats the one before it: a megabyte takes about 50 kB.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploy.core.commands.paths import kept_logs, release_folder

MOST_BYTES = 1024 * 1024
"""How much of the end of a replica's log is kept."""

MOST_LINES = 20_000
"""How many lines the engine reads from the end. A megabyte of JSON lines has fewer."""

RECORD = "release.json"

# $1 bytes, $2 lines, $3 folder of the release, then containers. Prints a line for each log and each file with secrets:
# its kind, its name, and its content as the base64 of gzip.
_READ = """
bytes=$1 lines=$2 secrets=$3/secrets
shift 3
sent() { printf '%s %s ' "$1" "$2"; gzip -c | base64 --wrap=0; echo; }
for name in "$@"; do
  docker logs --timestamps --tail "$lines" "$name" 2>&1 | tail -c "$bytes" | sent log "$name"
done
for file in "$secrets"/files/*; do
  if [ -f "$file" ]; then sent secret "${file##*/}" <"$file"; fi
done
if [ -f "$secrets/replica.json" ]; then sent environment replica.json <"$secrets/replica.json"; fi
"""

# $1 folder of kept logs, $2 release, $3 its record, then the releases whose logs are removed; a tar.gz on stdin.
# Each file gets its place by one rename. A folder that ends in .new was left by an interrupted call.
_KEEP = """
umask 077
folder=$1 release=$2 record=$3
shift 3
mkdir -p "$folder" && cd "$folder" || exit 1
rm -rf ./*.new && mkdir "$release.new" && tar -x -z -m -C "$release.new" || exit 1
if [ -f "$record" ]; then cp "$record" "$release.new/release.json" || exit 1; fi
mkdir -p "$release" && find "$release.new" -type f -exec mv -f -t "$release" {} + && rm -rf "$release.new" || exit 1
for old in "$@"; do rm -rf "./$old"; done
"""

# $1 folder of kept logs, $2 release or "" for all. Prints a line for each log, as above.
_PRINT = """
cd "$1" 2>/dev/null || exit 0
for file in */*.log; do
  release=${file%/*}
  if [ ! -f "$file" ] || [ "${2:-$release}" != "$release" ]; then continue; fi
  printf '%s %s ' "$release" "${file#*/}"; gzip -c <"$file" | base64 --wrap=0; echo
done
"""

# $1 folder of kept logs.
_LIST = """
cd "$1" 2>/dev/null || exit 0
for file in */*.log; do if [ -f "$file" ]; then echo "${file%/*}"; fi; done | sort -u
"""

_GZIP = 31  # zlib's number for the format of gzip
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"
_LINE = re.compile(rf"(?P<when>{_TIME}) (?P<text>.*)", re.DOTALL)
# The engine cuts lines after 16 kB and prints a time before each piece.
_CUT_AFTER = 16 * 1024
_INNER_TIME = re.compile(rf"(?<=.){_TIME} ")


@dataclass(frozen=True)
class RemovedLogs:
    """What a host has of replicas that will be removed: their logs by container, and the values of their secrets."""

    texts: dict[str, str]
    secrets: tuple[str, ...]


@dataclass(frozen=True)
class KeptLine:
    """A line of a kept log. `when` is UTC in ISO 8601, "" if the line has no time."""

    release: str
    replica: str
    when: str
    text: str


def read(service: str, release: str, containers: Sequence[str]) -> list[str]:
    """Prints the end of each container's log, and the release's secrets, which must not be kept with them."""
    folder = release_folder(service, release)
    return ["sh", "-c", _READ, "read-logs", str(MOST_BYTES), str(MOST_LINES), folder, *containers]


def parse_removed(text: str) -> RemovedLogs:
    """Returns what `read` printed. Raises ValueError for anything else."""
    texts: dict[str, str] = {}
    secrets: list[str] = []
    for kind, name, content in _documents(text):
        match kind:
            case "log":
                texts[name] = _whole_lines(content)
            case "secret":
                secrets.append(content)
            case "environment":
                replica = json.loads(content.replace("$$", "$"))["services"]["replica"]
                secrets += replica.get("environment", {}).values()
            case _:
                raise ValueError(f"unknown kind {kind}")
    return RemovedLogs(texts, tuple(secrets))


def keep(service: str, release: str, dropped: Sequence[str]) -> list[str]:
    """Keeps logs (a tar.gz on stdin) and the release's record, for the owner alone; removes those of other releases."""
    record = f"{release_folder(service, release)}/{RECORD}"
    return ["sh", "-c", _KEEP, "keep-logs", kept_logs(service), release, record, *dropped]


def print_kept(service: str, release: str | None) -> list[str]:
    """Prints the kept logs of a release, or of all."""
    return ["sh", "-c", _PRINT, "print-logs", kept_logs(service), release or ""]


def parse_kept(text: str) -> Iterator[KeptLine]:
    """Yields the lines that `print_kept` printed. Raises ValueError for anything else."""
    for release, file, content in _documents(text):
        replica = file.removesuffix(".log")
        # Not splitlines(): a line may contain characters that end a line in Python only.
        for line in content.rstrip("\n").split("\n"):
            found = _LINE.fullmatch(line)
            when, shown = (found["when"], found["text"]) if found else ("", line)
            yield KeptLine(release, replica, when, shown)


def list_kept(service: str) -> list[str]:
    """Prints the releases with kept logs."""
    return ["sh", "-c", _LIST, "list-logs", kept_logs(service)]


def packed(content: bytes) -> str:
    """Returns a content as the host scripts print it."""
    return base64.b64encode(zlib.compress(content, wbits=_GZIP)).decode()


def _whole_lines(text: str) -> str:
    """Returns a log without a first line that was cut off, and without the times inside of long lines."""
    if len(text.encode()) >= MOST_BYTES:
        text = text.partition("\n")[2]
    return "\n".join(_joined(line) for line in text.split("\n"))


def _joined(line: str) -> str:
    return _INNER_TIME.sub("", line) if len(line) > _CUT_AFTER else line


def _documents(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        first, second, content = line.split(" ", 2)
        yield first, second, _unpacked(content)


def _unpacked(content: str) -> str:
    try:
        unpacking = zlib.decompressobj(wbits=_GZIP)
        raw = unpacking.decompress(base64.b64decode(content, validate=True), 4 * MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"no gzip: {error}") from error
    return raw.decode(errors="replace")
