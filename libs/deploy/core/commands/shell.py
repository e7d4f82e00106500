"""Argv of what a host does with files and time limits, in sh and coreutils; never runs anything.

LocalHost and SshHost run the same lines, so that the contract holds on both by construction.
Content comes over stdin, never in argv.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

MISSING = 44
"""The exit code of `read_argv` when there is no such file."""

KILL_AFTER_S = 5.0
"""How long a command that ran into its limit may take to end after SIGTERM, until SIGKILL."""

WATCHED_KILL_AFTER_S = 2.0
"""The same for a command whose reader is gone (`watched`)."""

# The temporary file is 0600 from its first byte. stdin that ends early (a lost connection) is told
# from a whole file by the expected size, so that a torn file is never renamed into place.
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

# A line that arrives torn is not written at all; `x` keeps the shell from dropping the line's end.
_APPEND = """set -eu
LC_ALL=C
mkdir -p -- "$2"
line=$(cat; echo x)
line=${line%x}
[ "${#line}" -eq "$3" ] || { echo "${#line} of $3 bytes arrived" >&2; exit 1; }
printf '%s' "$line" >>"$1"
sync -- "$1"
"""

# The command gets a process group of its own; a watcher that reads our stdin ends it at EOF, which
# is what sshd makes of a closed channel. Without it a command that prints nothing would outlive its
# reader. `kill -TERM -- -1` is no valid form in dash, `kill -s TERM -- -1` is in every sh.
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
    """Says whether a `limited` command ran into its limit (124: by SIGTERM, 137: by SIGKILL)."""
    return code in (124, 137) and elapsed_s >= timeout_s


def watched(argv: Sequence[str]) -> tuple[str, ...]:
    """Returns argv whose command, with its group, ends when stdin does; stderr joins stdout."""
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
