"""Builds the commands that begin the drain of a release on a host, and that take it back.

The watchdog takes the same lock before it changes a record (`watchdog.drains`).
"""

from __future__ import annotations

from deploy.core.commands.paths import DRAINING_LOCK, draining_file, service_folder
from deploy.core.commands.stacks import LIST_EDGES, PROCESSES_FUNCTION

MARK = ".signalled"
"""What the watchdog writes beside a record before it signals a replica: the ids of the containers, one a line."""

_LOOK = f"""{PROCESSES_FUNCTION}
date +%s.%N
{LIST_EDGES} || exit 1
[ -n "$edges" ] || exit 0
printf '%s\\n' "$edges" | processes
"""

# $1 lock, $2 record, $3 mark, $4 size in bytes; the record on stdin. It is on the disk when this ends.
_BEGIN = """
folder=${2%/*}
mkdir -p "$folder" && exec 7>> "$1" && flock 7 || exit 1
cat > "$2.new" && [ "$(wc -c < "$2.new")" -eq "$4" ] && rm -f "$3" || exit 1
sync "$2.new" && mv "$2.new" "$2" && sync "$folder"
"""

# $1 folder of the records.
_RECORDS = """
for record in "$1"/*.json; do
  if [ -e "$record" ]; then cat "$record"; fi
done
"""

# $1 lock, $2 record, $3 mark. Containers that were signalled end, so they are removed, before the record is.
_CANCEL = """
[ -e "$2" ] || exit 0
exec 7>> "$1" && flock 7 || exit 1
if [ -e "$3" ]; then xargs -r docker rm --force < "$3" >/dev/null || exit 1; fi
rm -f "$2" "$3"
"""


def records(service: str) -> list[str]:
    """Prints the records of a service's drains, one a line."""
    return ["sh", "-c", _RECORDS, "draining-records", f"{service_folder(service)}/draining"]


def look() -> list[str]:
    """Prints the host's time in seconds since 1970, then what `stacks.edge_processes` prints; fails after the time."""
    return ["sh", "-c", _LOOK, "draining-look"]


def begin(service: str, release: str, size: int) -> list[str]:
    """Writes the record of a drain from stdin, `size` bytes, in the place of an earlier one."""
    return ["sh", "-c", _BEGIN, "begin-draining", *_files(service, release), str(size)]


def cancel(service: str, release: str) -> list[str]:
    """Ends a drain: removes the containers that the watchdog has signalled and the record. None is no error."""
    return ["sh", "-c", _CANCEL, "cancel-draining", *_files(service, release)]


def _files(service: str, release: str) -> list[str]:
    record = draining_file(service, release)
    return [DRAINING_LOCK, record, record.removesuffix(".json") + MARK]
