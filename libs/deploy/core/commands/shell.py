"""Builds commands for files and time limits, with sh and coreutils.

LocalHost and SshHost run the same commands, so they behave alike. Content comes over stdin.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

MISSING = 44
"""The exit code of `read_argv` when there is no such file."""

KILL_AFTER_S = 5.0
"""Seconds between SIGTERM and SIGKILL for a command that exceeded its limit."""

WATCHED_KILL_AFTER_S = 2.0
"""The same for a command whose reader is gone (`watched`)."""

# The temporary file has mode 0600 from its first byte. The expected size reveals a stdin that a lost connection cut
# short, so a torn file is never renamed into place.
_PUT = """set -eu
mkdir -p -- "$2"
umask 077
trap 'rm -f -- "$3"' EXIT
trap 'exit 1' HUP INT TERM PIPE
cat >"$3"
size=$(wc -c <"$3")
[ "$size" -eq "$5" ] || { echo "$size of $5 bytes arrived" >&2; exit 1; }
chmod -- "$4" "$3"
sync -- "$3"
mv -fT -- "$3" "$1"
sync -- "$2"
"""

_READ = f"""[ -e "$1" ] || exit {MISSING}
exec cat -- "$1"
"""

# A line that was cut short isn't written; `x` keeps the shell from dropping the line's end.
_APPEND = """set -eu
LC_ALL=C
mkdir -p -- "$2"
line=$(cat; echo x)
line=${line%x}
[ "${#line}" -eq "$3" ] || { echo "${#line} of $3 bytes arrived" >&2; exit 1; }
printf '%s' "$line" >>"$1"
sync -- "$1"
"""

# The command runs in its own process group. A watcher ends the group at the end of stdin, which is how sshd reports a
# closed channel. Without it, a command that prints nothing would outlive its reader. dash accepts only the form
# `kill -s TERM -- -1`.
_WATCHED = f"""exec 3<&0
setsid -- "$@" 3<&- </dev/null 2>&1 &
child=$!
(
  exec >/dev/null 2>&1
  while read -r _ <&3; do :; done
  kill -s TERM -- "-$child"
  sleep {WATCHED_KILL_AFTER_S:g}
  kill -s KILL -- "-$child"
) &
watcher=$!
exec 3<&-
wait "$child"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
"""


def limited(argv: Sequence[str], timeout_s: float) -> tuple[str, ...]:
    """Returns argv that ends itself, with its process group, after `timeout_s` seconds.

    The limit is the host's own, so it holds when the connection is gone
    (https://www.gnu.org/software/coreutils/timeout).
    """
    return ("timeout", f"--kill-after={KILL_AFTER_S:g}", f"{timeout_s:.3f}", *argv)


def timed_out(code: int, elapsed_s: float, timeout_s: float) -> bool:
    """Returns whether a `limited` command ran into its limit (124: by SIGTERM, 137: by SIGKILL)."""
    return code in (124, 137) and elapsed_s >= timeout_s


def watched(argv: Sequence[str]) -> tuple[str, ...]:
    """Returns argv whose command ends with its process group when stdin ends. stderr goes to stdout."""
    return ("sh", "-c", _WATCHED, "sh", *argv)


def put_argv(path: str, size: int, mode: int, token: str) -> tuple[str, ...]:
    """Returns argv that writes `size` bytes of stdin to `path` whole or not at all."""
    folder, name = posixpath.split(path)
    aside = posixpath.join(folder, f".{name}.{token}")
    return ("sh", "-c", _PUT, "sh", path, folder or ".", aside, f"{mode:04o}", str(size))


def read_argv(path: str) -> tuple[str, ...]:
    """Returns argv that prints a file, or exits with MISSING."""
    return ("sh", "-c", _READ, "sh", path)


def append_argv(path: str, size: int) -> tuple[str, ...]:
    """Returns argv that appends `size` bytes of stdin to `path` and fsyncs it."""
    folder = posixpath.dirname(path) or "."
    return ("sh", "-c", _APPEND, "sh", path, folder, str(size))


def last_lines(text: str, count: int = 5) -> str:
    """Returns the end of what a command printed, for an error."""
    return "\n".join(text.strip().splitlines()[-count:])
