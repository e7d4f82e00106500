"""Argv of a host's lock, of effects under it and of their record, as scripts; never runs one.

The lock is the kernel's. Each effect shows the holder's token, has a time limit, and leaves one line in the host's
ledger, written by the host itself: also when the deployer that asked for it is gone by then.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy.core.commands.paths import ROOT
from deploy.core.commands.shell import KILL_AFTER_S

LOCK, EFFECTS, TOKEN, HOLDER = (
    f"{ROOT}/{name}" for name in ("lock", "effects", "token", "holder.json")
)
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
# $7 token, $8 who holds the lock (JSON); times in seconds.
# The new holder waits until no effect runs, then writes its own token, so that effects of anybody else are refused
# from here on. `cat` ends with the connection, and the lock with it.
_HOLD = f"""
mkdir -p "${{1%/*}}" || exit 1
exec 8>> "$1"
flock --exclusive --timeout "$2" --conflict-exit-code {LOCK_TAKEN} 8 || exit
exec 9>> "$3"
flock --exclusive --timeout "$4" --conflict-exit-code {STRAGGLERS} 9 || exit
printf %s "$7" > "$5" || exit 1
exec 9>&-
printf '%s\\n' "$8" > "$6"
echo held
exec cat > /dev/null
"""

# record LEDGER HEAD: adds the line HEAD (JSON without its end) with this host's time, sealed by the hash of the line
# before. A line that a kill or a full disk cut off is ended first: it stays what it is. The seal file has the count of
# lines and the last one's hash, so that a tail that goes missing is found, too. A subshell, since a file that can't be
# opened ends all of a sh.
RECORD = """
hashed() { tail -n 1 "$1" | tr -d '\\n' | sha256sum | cut -c 1-64; }
record() (
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

# $1 token file, $2 token, $3 ledger, $4 head of the entry, $5 limit in seconds, then the command. The shared lock on
# `effects` is this effect's mark of being alive. An effect that can't be recorded is told, its own end is kept.
_EFFECT = f"""{RECORD}
[ "$(cat "$1")" = "$2" ] || exit {FENCED}
ledger=$3 head=$4 limit=$5
shift 5
timeout --kill-after={KILL_AFTER_S:g} "$limit" "$@"
code=$?
record "$ledger" "$head, \\"code\\": $code" </dev/null || echo "the ledger can't be written" >&2
exit "$code"
"""

# $1 token file, $2 token, $3 ledger, $4 head of the entry.
_NOTE = f"""{RECORD}
[ "$(cat "$1")" = "$2" ] || exit {FENCED}
record "$3" "$4"
"""

# $1 ledger, $2 head of the entry.
_RECORD = f"""{RECORD}
record "$1" "$2"
"""


def hold(token: str, holder: str) -> list[str]:
    """Takes the host's lock and keeps it until stdin ends; prints `held`. 75: taken, 76: effects still run."""
    locks = [LOCK, f"{LOCK_WAIT_S:g}", EFFECTS, f"{EFFECTS_WAIT_S:g}"]
    return ["sh", "-c", _HOLD, "hold", *locks, TOKEN, HOLDER, token, holder]


def effect(token: str, head: str, argv: Sequence[str], timeout_s: float) -> list[str]:
    """Wraps a command that changes something: refused (77) unless `token` holds the lock, ended by its limit.

    `head` is the ledger's entry about it (`ledger.head_of`); the host adds the exit code.
    """
    script = ["sh", "-c", _EFFECT, "effect", TOKEN, token, LEDGER, head, f"{timeout_s:g}"]
    return ["flock", "--shared", EFFECTS, *script, *argv]


def note(token: str, head: str) -> list[str]:
    """Adds one entry to the ledger and nothing else; refused (77) unless `token` holds the lock."""
    script = ["sh", "-c", _NOTE, "note", TOKEN, token, LEDGER, head]
    return ["flock", "--shared", EFFECTS, *script]


def record(head: str) -> list[str]:
    """Adds one entry to the ledger, of what was done without the lock."""
    return ["sh", "-c", _RECORD, "record", LEDGER, head]


def is_held() -> list[str]:
    """Ends with 75 if somebody holds the lock."""
    return [
        "flock",
        "--shared",
        "--nonblock",
        "--conflict-exit-code",
        str(LOCK_TAKEN),
        LOCK,
        "true",
    ]
