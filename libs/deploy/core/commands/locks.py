"""Builds the commands that take a host's lock, run effects under it and record them in the ledger.

The lock is the kernel's. Each effect presents the holder's token and has a time limit. The host itself writes a line
about it into its ledger, even if the deployer is gone by then.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy.core.commands.paths import ROOT
from deploy.core.commands.shell import KILL_AFTER_S
from deploy.core.state.json_record import load

LOCK, EFFECTS, TOKEN, HOLDER = (
    f"{ROOT}/{name}" for name in ("lock", "effects", "token", "holder.json")
)
HOLDER_PID = f"{ROOT}/holder.pid"
LEDGER = f"{ROOT}/ledger.jsonl"
SEAL = f"{LEDGER}.seal"

LOCK_TAKEN = 75
STRAGGLERS = 76
FENCED = 77

LOCK_WAIT_S = 0.3
"""`is_held` shares the lock for some milliseconds, which must not refuse a deploy."""

EFFECTS_WAIT_S = 5.0
"""How long a new holder waits for the last effect of a deployer that is gone."""

# $1 lock, $2 how long to wait for it, $3 effects, $4 how long to wait for these, $5 token file, $6 holder file,
# $7 token, $8 who takes the lock (JSON), $9 file for the process that holds it; times in seconds.
# Only the deploy user may enter the folder, or anybody on the host could hold the lock and read the token. Containers
# mount folders below it, not through it: what they mount keeps its mode. Earlier versions left wider modes.
# The new holder waits until no effect runs and then writes its token, which fences off the effects of earlier holders.
# `cat` ends with the connection, and so does the lock.
_TAKE = f"""
root=${{1%/*}}
mkdir -p "$root" || exit 1
chmod 700 "$root" 2>/dev/null
umask 077
exec 8>> "$1"
flock --exclusive --timeout "$2" --conflict-exit-code {LOCK_TAKEN} 8 || exit
exec 9>> "$3"
flock --exclusive --timeout "$4" --conflict-exit-code {STRAGGLERS} 9 || exit
printf %s "$7" > "$5" || exit 1
exec 9>&-
printf '%s\\n' "$$" > "$9" && printf '%s\\n' "$8" > "$6"
chmod 600 "$1" "$3" "$5" "$6" "$9" "$root"/ledger.jsonl* "$root"/*.key 2>/dev/null
chmod -R go= "$root"/services/*/rollouts 2>/dev/null
echo held
exec cat > /dev/null
"""

# record LEDGER HEAD: appends the line HEAD (JSON without its closing brace) with the host's time and the hash of the
# line before. A line that a kill or a full disk cut short is ended first and stays as it is. The seal file has the
# number of lines and the hash of the last one, which reveals missing lines at the end. It is a subshell because a
# redirection that fails ends the whole sh.
RECORD_FUNCTION = """
hashed() { tail -n 1 "$1" | tr -d '\\n' | sha256sum | cut -c 1-64; }
record() (
  umask 077
  mkdir -p "${1%/*}" || exit 1
  exec 8>> "$1" && flock 8 || exit 1
  prev=
  if [ -s "$1" ]; then
    [ -z "$(tail -c 1 "$1")" ] || echo >&8 || exit 1
    prev=$(hashed "$1")
  fi
  at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  printf '%s, "at": "%s", "prev": "%s"}\\n' "$2" "$at" "$prev" >&8 && sync "$1" || exit 1
  printf '%s %s\\n' "$(wc -l < "$1")" "$(hashed "$1")" > "$1.seal.new" && mv "$1.seal.new" "$1.seal" || true
)
"""

# holder LOCK HOLDER PID: prints who holds a lock, as JSON. The holder file says it if the process that wrote it still
# has the lock open as its descriptor 8. Else another program holds the lock, which only /proc can tell; processes of
# other users can't be seen there. Only its name is shown, because a command line may contain secrets. A holder of an
# earlier version wrote no process id.
HOLDER_FUNCTION = """
holder() {
  pid=$(cat "$3")
  if [ -z "$pid" ] || [ "/proc/$pid/fd/8" -ef "$1" ]; then cat "$2"; return; fi
  set -- "$(readlink -f "$1")"
  pid=$(find /proc/[0-9]*/fd -lname "$1" | cut -d / -f 3 | sort -un | head -n 1)
  user=$(stat -c %U "/proc/$pid")
  program=$(tr -dc 'A-Za-z0-9._-' < "/proc/$pid/comm")
  if [ -n "$pid" ] && [ -n "$user" ]; then
    printf '{"who": "process %s of %s, which is no deploy", "verb": "%s"}\\n' "$pid" "$user" "$program"
  else
    echo '{"who": "a process of another user, which is no deploy", "verb": "unknown"}'
  fi
}
"""

# $1 lock, $2 holder file, $3 file with the holder's process.
_HOLDER = f"""{HOLDER_FUNCTION}
holder "$1" "$2" "$3" 2>/dev/null
"""

# $1 token file, $2 token, $3 ledger, $4 head of the entry, $5 limit in seconds, then the command. The shared lock on
# `effects` shows that the effect is running. If the ledger can't be written, stderr says so, and the exit code is still
# that of the command.
_EFFECT = f"""{RECORD_FUNCTION}
[ "$(cat "$1")" = "$2" ] || exit {FENCED}
ledger=$3 head=$4 limit=$5
shift 5
timeout --kill-after={KILL_AFTER_S:g} "$limit" "$@"
code=$?
record "$ledger" "$head, \\"code\\": $code" </dev/null || echo "the ledger can't be written" >&2
exit "$code"
"""

# $1 token file, $2 token, $3 ledger, $4 head of the entry.
_RECORD_LOCKED = f"""{RECORD_FUNCTION}
[ "$(cat "$1")" = "$2" ] || exit {FENCED}
record "$3" "$4"
"""

# $1 ledger, $2 head of the entry.
_RECORD_UNLOCKED = f"""{RECORD_FUNCTION}
record "$1" "$2"
"""


def take(token: str, holder: str) -> list[str]:
    """Takes the host's lock, prints `held` and keeps the lock until stdin ends.

    Exits with LOCK_TAKEN if another process has it, with STRAGGLERS if an effect of an earlier holder still runs.
    """
    locks = [LOCK, f"{LOCK_WAIT_S:g}", EFFECTS, f"{EFFECTS_WAIT_S:g}"]
    return ["sh", "-c", _TAKE, "take", *locks, TOKEN, HOLDER, token, holder, HOLDER_PID]


def effect(token: str, head: str, argv: Sequence[str], timeout_s: float) -> list[str]:
    """Wraps a command that changes the host. Exits with FENCED unless `token` holds the lock.

    `head` is the ledger's entry (`ledger.head_of`), to which the host adds the exit code.
    """
    script = ["sh", "-c", _EFFECT, "effect", TOKEN, token, LEDGER, head, f"{timeout_s:g}"]
    return ["flock", "--shared", EFFECTS, *script, *argv]


def record(token: str, head: str) -> list[str]:
    """Adds one entry to the ledger. Exits with FENCED unless `token` holds the lock."""
    script = ["sh", "-c", _RECORD_LOCKED, "record", TOKEN, token, LEDGER, head]
    return ["flock", "--shared", EFFECTS, *script]


def record_unlocked(head: str) -> list[str]:
    """Adds one entry to the ledger, for something that was done without the lock."""
    return ["sh", "-c", _RECORD_UNLOCKED, "record-unlocked", LEDGER, head]


def is_held() -> list[str]:
    """Exits with LOCK_TAKEN if a process holds the lock."""
    return [
        "flock",
        "--shared",
        "--nonblock",
        "--conflict-exit-code",
        str(LOCK_TAKEN),
        LOCK,
        "true",
    ]


def holder() -> list[str]:
    """Prints who holds the lock, as `parse_holder` reads it. Only to be asked while it is held."""
    return ["sh", "-c", _HOLDER, "holder", LOCK, HOLDER, HOLDER_PID]


def parse_holder(text: str) -> dict[str, str]:
    """Returns who holds a lock, from its holder file; empty if the file is damaged."""
    try:
        found = load(text or "{}")
    except ValueError:
        return {}
    return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}
