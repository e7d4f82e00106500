"""Multiplexes the output of many replicas over one SSH channel: builds the remote script and parses what it prints.

sshd allows ten sessions per connection, and a host runs more replicas. So one command reads the output of all, marks
each line with its replica, and writes lines that are short enough for the kernel not to mix them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deploy.core.commands.locks import LEDGER, RECORD_FUNCTION

AT_ONCE = 8
"""Commands that run at once in replicas of one host."""

PIECE_BYTES = 3000
"""The longest piece of a line, well below PIPE_BUF with its name and mark."""

INTERRUPTED = 143
"""The ledger's exit code of a command that ended with its caller, as a shell reports SIGTERM."""

# Writes to a pipe are atomic up to 4096 bytes (PIPE_BUF, pipe(7)), so a longer line is written in pieces, cut between
# characters: ` - ` marks a piece that isn't the last, ` + ` the last piece of a line, ` = ` an exit code.
# Debian's awk, mawk, reads ahead unless it has the option -W interactive, which other awks reject. With that option it
# writes the record separator separately, so that is empty, and the newline is part of the text.
_MARKED = r"""
export LC_ALL=C
case $(awk -W version 2>&1 </dev/null) in mawk*) at_once="-W interactive" ;; *) at_once= ;; esac
# shellcheck disable=SC2016 # these are variables of awk
mark='{
  while (length($0) > most) {
    for (n = most; n > most - 10 && substr($0, n + 1, 1) ~ /[\200-\277]/;) n--
    print name " - " substr($0, 1, n) "\n"
    $0 = substr($0, n + 1)
  }
  print name " + " $0 "\n"
  fflush()
}'
marked() {
  # shellcheck disable=SC2086 # at_once is two words or none
  code=$({
    { "$@" 2>&1 </dev/null; echo $? >&4; } |
      awk $at_once -v ORS= -v most="$piece" -v name="$name" "$mark" >&3
  } 4>&1)
  echo "$name = $code" >&3
  return "$code"
} 3>&1
"""

# $1 names, then options of docker logs.
_FOLLOW = f"""{_MARKED}
piece={PIECE_BYTES}
names=$1
shift
for name in $names; do marked docker logs "$@" "$name" & done
wait
"""

# $1 ledger, $2 head of the entry, $3 names, $4 how many at once, then the command. The ledger gets one line with the
# highest of the exit codes, also if the caller is gone and the command is ended for that (shell.watched).
_EXECUTE = f"""{_MARKED}{RECORD_FUNCTION}
piece={PIECE_BYTES}
ledger=$1 head=$2 names=$3 most=$4 running='' worst=0
shift 4
end() {{
  trap '' HUP INT TERM
  record "$ledger" "$head, \\"code\\": $worst" </dev/null || {{ echo "the ledger can't be written"; exit 1; }}
  exit 0
}}
trap 'worst={INTERRUPTED}; end' HUP INT TERM
settle() {{
  for one in $running; do
    wait "$one" || {{ code=$?; [ "$code" -le "$worst" ] || worst=$code; }}
  done
  running=''
}}
for name in $names; do
  marked docker exec "$name" "$@" &
  running="$running $!"
  [ "$(echo "$running" | wc -w)" -lt "$most" ] || settle
done
settle
end
"""


@dataclass(frozen=True)
class OutputLine:
    """One line that a replica printed."""

    replica: str
    text: str


@dataclass(frozen=True)
class Exited:
    """The end of a replica's command."""

    replica: str
    code: int


def follow(replicas: Iterable[str], *, since: str, endless: bool) -> list[str]:
    """Prints the logs of replicas since a time, and follows them if `endless`."""
    options = ["--since", since, *(["--follow"] if endless else [])]
    return ["sh", "-c", _FOLLOW, "follow", " ".join(replicas), *options]


def execute(replicas: Iterable[str], command: Sequence[str], head: str) -> list[str]:
    """Runs a command in each replica, AT_ONCE at a time, and adds one entry to the host's ledger.

    `head` is the entry (`ledger.head_of`); the host adds the highest exit code.
    """
    script = ["sh", "-c", _EXECUTE, "execute", LEDGER, head]
    return [*script, " ".join(replicas), str(AT_ONCE), *command]


class OutputMux:
    """Restores the replicas' lines from the marked pieces."""

    def __init__(self) -> None:
        self._pieces: dict[str, str] = {}

    def feed(self, line: str) -> OutputLine | Exited | None:
        """Takes a line of the host. Returns the replica's line or exit that it completes, None if there is none."""
        replica, mark, text = _split(line)
        match mark:
            case "-":
                self._pieces[replica] = self._pieces.get(replica, "") + text
                return None
            case "+":
                return OutputLine(replica, self._pieces.pop(replica, "") + text)
            case "=":
                return Exited(replica, int(text))
            case _:
                return None


def _split(line: str) -> tuple[str, str, str]:
    replica, _, rest = line.partition(" ")
    return replica, rest[:1], rest[2:]
