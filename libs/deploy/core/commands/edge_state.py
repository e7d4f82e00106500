"""Reads the edge's state: the first line of its text, and the file that this line names."""

from __future__ import annotations

from deploy.core.commands.paths import ROUTES, STATES
from deploy.core.state.edge import EdgeState, parse_edge

# edge_state ROUTES STATES: prints the first line of the routes after `routes `, and the content of the file that the
# line names after `state `. The line is read once, because a switch may replace the text at any time; the file that an
# earlier line names stays for some minutes.
FUNCTION = """
edge_state() {
  [ -e "$1" ] || return 0
  first=$(sed -n 1p "$1")
  printf 'routes %s\\n' "$first"
  name=$(printf '%s' "$first" | sed -n 's/^.*"state": *"\\([0-9a-f]\\{64\\}\\)".*$/\\1/p')
  if [ -n "$name" ] && [ -e "$2/$name.json" ]; then
    printf 'state %s\\n' "$(cat "$2/$name.json")"
  fi
}
"""

# $1 routes, $2 folder of the states.
_READ = f"""{FUNCTION}
edge_state "$1" "$2"
"""


def read() -> list[str]:
    """Prints the edge's state as `parse` reads it; nothing if there is no text."""
    return ["sh", "-c", _READ, "edge-state", ROUTES, STATES]


def stored(generation: str) -> list[str]:
    """Prints the state whose name begins with a generation; fails if there is none."""
    return ["sh", "-c", 'cat "$1/$2"*.json', "stored-state", STATES, generation]


def parse(text: str) -> EdgeState:
    """Returns the state from the output of `read`. Raises what `parse_edge` raises."""
    facts = dict(line.partition(" ")[::2] for line in text.split("\n"))
    return parse_edge(facts.get("routes", ""), facts.get("state"))
