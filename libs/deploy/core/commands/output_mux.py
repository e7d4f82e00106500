"""Many replicas' lines over one channel of a host: what the host runs, and how its output is read; never runs it.

sshd bears ten sessions a connection, a host bears more replicas. So one command starts all that are to speak,
marks each line with its replica, and writes lines so short that the kernel never mixes two of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deploy.core.commands.locks import LEDGER, RECORD

AT_ONCE = 8
"""Commands that run at once in replicas of one host."""

PIECE_BYTES = 3000
"""The longest piece of a line, well below PIPE_BUF with its name and mark."""

INTERRUPTED = 143
"""What the ledger has of a command that was ended with whoever asked for it: as a shell has it of SIGTERM."""

# A write to a pipe of up to 4096 bytes (PIPE_BUF, pipe(7)) is not mixed with another's, so a longer line goes in
# pieces, cut between characters: ` - ` marks a piece that more follows, ` + ` a line's end, ` = ` an exit code.
# Debian's awk is mawk, which reads ahead unless it is told not to; others complain of that word. Then it writes each
# print at once, and the record separator apart: so there is none, and the newline is in the text.
_SPEAK = r"""
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
speak() {
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
_FOLLOW = f"""{_SPEAK}
piece={PIECE_BYTES}
names=$1
shift
for name in $names; do speak docker logs "$@" "$name" & done
wait
"""

# $1 ledger, $2 head of the entry, $3 names, $4 how many at once, then the command. The ledger gets one line, with the
# worst of the exit codes: also when whoever asked is gone and the command is ended with them (shell.watched).
_EXECUTE = f"""{_SPEAK}{RECORD}
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
  speak docker exec "$name" "$@" &
  running="$running $!"
  [ "$(echo "$running" | wc -w)" -lt "$most" ] || settle
done
settle
end
"""


@dataclass(frozen=True)
class OutputLine:
    """A line that a replica printed."""

    replica: str
    text: str


@dataclass(frozen=True)
class Exited:
    """A replica's command is over."""

    replica: str
    code: int


def follow(replicas: Iterable[str], *, since: str, endless: bool) -> list[str]:
    """Prints the logs of replicas since a time, and goes on with what comes if `endless`."""
    options = ["--since", since, *(["--follow"] if endless else [])]
    return ["sh", "-c", _FOLLOW, "follow", " ".join(replicas), *options]


def execute(replicas: Iterable[str], command: Sequence[str], head: str) -> list[str]:
    """Runs a command in each of the replicas, some at once, and adds one entry to the host's ledger.

    `head` is the entry (`ledger.head_of`); the host adds the worst of the exit codes.
    """
    script = ["sh", "-c", _EXECUTE, "execute", LEDGER, head]
    return [*script, " ".join(replicas), str(AT_ONCE), *command]


class OutputMux:
    """Puts the marked lines together again."""

    def __init__(self) -> None:
        self._begun: dict[str, str] = {}

    def take(self, line: str) -> OutputLine | Exited | None:
        """Returns what a line of the host says, None where it says nothing yet."""
        replica, mark, text = _parted(line)
        match mark:
            case "-":
                self._begun[replica] = self._begun.get(replica, "") + text
                return None
            case "+":
                return OutputLine(replica, self._begun.pop(replica, "") + text)
            case "=":
                return Exited(replica, int(text))
            case _:
                return None


def _parted(line: str) -> tuple[str, str, str]:
    replica, _, rest = line.partition(" ")
    return replica, rest[:1], rest[2:]
