"""Builds the commands that start, stop and check the stacks of a host, and that set the routes of its edges.

Edges are found by their label. While one replaces another there are two, and both get every change of routes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from deploy.core.commands.paths import EDGE_CONF, ROOT, STATES
from deploy.core.state.stack import Stack

NGINX_REFUSED = 65

LEFT_KEPT_MIN = 15
"""Minutes for which the files of old generations are kept, longer than a worker lives (worker_shutdown_timeout)."""

START_WAIT_S = 60
"""Seconds for which compose waits until a stack runs."""

# Reads lines of the id and key of an edge. Prints its processes: the edge's key, the process's id and title.
PROCESSES_FUNCTION = """
processes() {
  while read -r id key; do
    titles=$(docker top "$id" -eo pid,args </dev/null) || exit 1
    printf '%s\\n' "$titles" | sed "s/^/$key /"
  done
}
"""

LIST_EDGES = "edges=$(docker ps --filter label=py-cicd.name=edge --format '{{.ID}} {{.Label \"py-cicd.key\"}}')"
"""Sets `edges` to lines for PROCESSES_FUNCTION."""

# $1 conf folder, $2 size in bytes, $3 old generation, $4 new generation, $5 minutes for which the files of old
# generations and the files of unreferenced states are kept, $6 folder of the states, $7 name and $8 size of the new
# state; that state and then routes.conf on stdin. The state is synced before the text that names it takes effect, so
# renaming the text is the only commit. Every running edge checks the text with its own nginx.conf before it takes
# effect. The size reveals a text that a lost connection cut short, which nginx might accept. Workers of the old
# generation see its file in `left` and forward their requests (docs/adr/0024). If the disk is too full for that file,
# they keep answering from the old routes. The edges' processes are listed while the text is checked: each call of the
# client takes about 60 ms, and users wait for the switch.
_ROUTES = f"""{PROCESSES_FUNCTION}
cd "$1" || exit 1
(umask 077; mkdir -p "$6" && head -c "$8" > "$6/.next") || exit 1
[ "$(sha256sum < "$6/.next" | cut -c 1-64)" = "$7" ] || exit 1
cat > routes.next.conf && [ "$(wc -c < routes.next.conf)" -eq "$2" ] || exit 1
{LIST_EDGES} || exit 1
[ -n "$edges" ] || {{ echo "no edge runs" >&2; exit 65; }}
printf '%s\\n' "$edges" | processes 2>/dev/null &
printf '%s\\n' "$edges" | while read -r id key; do
  sed 's/routes[.]conf/routes.next.conf/' "$key/nginx.conf" > "$key/nginx.next.conf" || exit 1
  docker exec "$id" nginx -t -q -c "/etc/nginx/py-cicd/$key/nginx.next.conf" </dev/null || exit 65
  rm "$key/nginx.next.conf"
done || exit
mkdir -p left; find left -type f -mmin "+$5" -delete; rm -f "left/$4"
sync "$6/.next" && mv "$6/.next" "$6/$7.json" && sync "$6" || exit 1
sync routes.next.conf && mv routes.next.conf routes.conf || exit 1
printf '%s\\n' "$edges" | cut -d ' ' -f 1 | xargs docker kill --signal HUP >/dev/null || exit 1
[ "$3" = "$4" ] || touch "left/$3"
find "$6" -name '*.json' ! -name "$7.json" -mmin "+$5" -delete
wait
exit 0
"""

_PROCESSES = f"""{PROCESSES_FUNCTION}
{LIST_EDGES} || exit 1
[ -n "$edges" ] || exit 0
printf '%s\\n' "$edges" | processes
"""

# $1 project, $2 folder. An edge of versions before docs/adr/0012 has a published port, which can't be shared, so it is
# removed first. A stack that needs the engine's socket gets the rights of the deploy user, not those of root.
_START = f"""
case "$1" in py-cicd-edge-*)
  docker ps --all --quiet --filter label=com.docker.compose.project=py-cicd-edge | xargs -r docker rm --force >/dev/null
esac
HOST_USER="$(id -u):$(id -g)" SOCKET_GROUP="$(stat -c %g /var/run/docker.sock)"
export HOST_USER SOCKET_GROUP
exec docker compose --project-name "$1" --project-directory "$2" up --detach --wait --wait-timeout {START_WAIT_S}
"""

# $1 folder of the stacks, $2 their name, then keys. Each container has its grace period to stop.
_STOP = """
folder=$1 name=$2
shift 2
for key in "$@"; do
  found=$(docker ps --all --quiet --filter "label=py-cicd.name=$name" --filter "label=py-cicd.key=$key") || exit 1
  printf '%s\\n' "$found" | xargs -r docker stop >/dev/null || exit 1
  printf '%s\\n' "$found" | xargs -r docker rm --force >/dev/null || exit 1
  rm -rf "${folder:?}/${key:?}" "${folder:?}/conf/${key:?}"
done
"""

# $1 folder of the stack, $2 its name. The containers are removed last: if one is left, the next deploy repeats this.
_REMOVE = """
found=$(docker ps --all --quiet --filter "label=py-cicd.name=$2") || exit 1
printf '%s\\n' "$found" | xargs -r docker stop >/dev/null || exit 1
rm -rf "$1" || exit 1
printf '%s\\n' "$found" | xargs -r docker rm --force >/dev/null
"""


def replace_routes(size: int, old: str, new: str, state: bytes) -> list[str]:
    """Replaces the routes.conf of all edges, and generation `old` by generation `new`.

    On stdin come `state`, which gets a file of its own, and then the new routes.conf, `size` bytes.

    Prints what `edge_processes` does, as of just before. Exits with NGINX_REFUSED if an edge refuses the text or none
    runs; nothing has changed then.
    """
    numbers = [str(size), old, new, str(LEFT_KEPT_MIN)]
    stored = [STATES, hashlib.sha256(state).hexdigest(), str(len(state))]
    return ["sh", "-c", _ROUTES, "routes", EDGE_CONF, *numbers, *stored]


def edge_processes() -> list[str]:
    """Prints one line per process of the edges: key, pid and title. Prints nothing if no edge runs."""
    return ["sh", "-c", _PROCESSES, "processes"]


def check_compose(stack: Stack) -> list[str]:
    """Checks a stack's compose files without starting anything."""
    return [*_compose(stack), "config", "--quiet"]


def check_files(stack: Stack) -> list[str]:
    """Checks a stack's files with its own image, in a temporary container without network."""
    folder, at = stack.check_at
    isolated = ["--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108
    volume = f"{ROOT}/{stack.name}/{folder}:{at}:ro"
    return ["docker", "run", "--rm", *isolated, "--volume", volume, stack.image, *stack.check]


def start(stack: Stack) -> list[str]:
    """Starts a stack and waits until it runs."""
    return ["sh", "-c", _START, "start", stack.project, f"{ROOT}/{stack.name}/{stack.folder}"]


def stop(name: str, keys: Iterable[str]) -> list[str]:
    """Stops and removes the stacks with these keys, and their files. A missing one is no error."""
    return ["sh", "-c", _STOP, "stop-stacks", f"{ROOT}/{name}", name, *keys]


def remove(name: str) -> list[str]:
    """Stops and removes all containers of a stack, and its folder. A missing stack is no error."""
    return ["sh", "-c", _REMOVE, "remove-stack", f"{ROOT}/{name}", name]


def _compose(stack: Stack) -> list[str]:
    folder = f"{ROOT}/{stack.name}/{stack.folder}"
    return ["docker", "compose", "--project-name", stack.project, "--project-directory", folder]
