"""Argv about what runs beside the services of a host, the edges above all; never runs one.

Edges are found by their label: for a moment there are two, and both must get what is routed.
"""

from __future__ import annotations

from collections.abc import Iterable

from deploy.core.commands.paths import EDGE_CONF, ROOT
from deploy.core.state.stack import Stack

NGINX_REFUSED = 65

LEFT_KEPT_MIN = 10
"""How long the files of left generations are kept: longer than any old worker lives (worker_shutdown_timeout)."""

START_WAIT_S = 60
"""How long compose waits for a stack to run."""

# $1 conf folder, $2 size in bytes, $3 generation that is left, $4 one that comes, $5 minutes for which the files of
# generations that were left are kept; routes.conf on stdin. Each edge that
# runs judges the text, by its own nginx.conf, before it replaces what runs; the size tells a text that a lost
# connection cut off, which nginx might take for a whole one. Workers of the generation that is left see its file and
# hand over what still comes to them (docs/adr/0024); a disk that is too full for it leaves them as they were.
_ROUTES = """
cd "$1" || exit 1
cat > routes.next.conf && [ "$(wc -c < routes.next.conf)" -eq "$2" ] || exit 1
edges=$(docker ps --filter label=py-cicd.name=edge --format '{{.ID}} {{.Label "py-cicd.key"}}') || exit 1
[ -n "$edges" ] || { echo "no edge runs" >&2; exit 65; }
printf '%s\\n' "$edges" | while read -r id key; do
  sed 's/routes[.]conf/routes.next.conf/' "$key/nginx.conf" > "$key/nginx.next.conf" || exit 1
  docker exec "$id" nginx -t -q -c "/etc/nginx/py-cicd/$key/nginx.next.conf" </dev/null || exit 65
  rm "$key/nginx.next.conf"
done || exit
mkdir -p left; find left -type f -mmin "+$5" -delete; rm -f "left/$4"
sync routes.next.conf && mv routes.next.conf routes.conf || exit 1
printf '%s\\n' "$edges" | while read -r id key; do docker kill --signal HUP "$id" >/dev/null || exit 1; done || exit
[ "$3" = "$4" ] || touch "left/$3"
exit 0
"""

# Each process of each edge that runs: the edge's key, the process's id and title.
_PROCESSES = """
edges=$(docker ps --filter label=py-cicd.name=edge --format '{{.ID}} {{.Label "py-cicd.key"}}') || exit 1
[ -n "$edges" ] || exit 0
printf '%s\\n' "$edges" | while read -r id key; do
  titles=$(docker top "$id" -eo pid,args </dev/null) || exit 1
  printf '%s\\n' "$titles" | sed "s/^/$key /"
done
"""

# $1 project, $2 folder. An edge of an older tool has a published port, which nobody can share: it goes first.
# A part that needs the engine's socket has the rights of whoever deploys, not root's.
_START = f"""
case "$1" in py-cicd-edge-*)
  docker ps --all --quiet --filter label=com.docker.compose.project=py-cicd-edge | xargs -r docker rm --force >/dev/null
esac
HOST_USER="$(id -u):$(id -g)" SOCKET_GROUP="$(stat -c %g /var/run/docker.sock)"
export HOST_USER SOCKET_GROUP
exec docker compose --project-name "$1" --project-directory "$2" up --detach --wait --wait-timeout {START_WAIT_S}
"""

# $1 the parts' folder, $2 their name, then keys. What stops of its own accord does so within its grace period.
_RETIRE = """
folder=$1 name=$2
shift 2
for key in "$@"; do
  found=$(docker ps --all --quiet --filter "label=py-cicd.name=$name" --filter "label=py-cicd.key=$key") || exit 1
  printf '%s\\n' "$found" | xargs -r docker stop >/dev/null || exit 1
  printf '%s\\n' "$found" | xargs -r docker rm --force >/dev/null || exit 1
  rm -rf "${folder:?}/${key:?}" "${folder:?}/conf/${key:?}"
done
"""

# $1 folder of the stack, $2 its name. The containers go last: while one is left, the next deploy repeats this.
_REMOVE = """
found=$(docker ps --all --quiet --filter "label=py-cicd.name=$2") || exit 1
printf '%s\\n' "$found" | xargs -r docker stop >/dev/null || exit 1
rm -rf "$1" || exit 1
printf '%s\\n' "$found" | xargs -r docker rm --force >/dev/null
"""


def replace_routes(size: int, left: str, taken: str) -> list[str]:
    """Gives all edges the routes.conf of so many bytes on stdin, of generation `taken` after `left`.

    65: one refused it and nothing changed.
    """
    return ["sh", "-c", _ROUTES, "routes", EDGE_CONF, str(size), left, taken, str(LEFT_KEPT_MIN)]


def edge_processes() -> list[str]:
    """Lists the edges' processes, a line each: key, pid and title; nothing where no edge runs."""
    return ["sh", "-c", _PROCESSES, "processes"]


def check_compose(stack: Stack) -> list[str]:
    """Lets compose judge a part's files without starting anything."""
    return [*_compose(stack), "config", "--quiet"]


def check_files(stack: Stack) -> list[str]:
    """Lets the part's own image judge its files in a container of a moment, which no port and no user reaches."""
    folder, at = stack.check_at
    shut = ["--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108
    volume = f"{ROOT}/{stack.name}/{folder}:{at}:ro"
    return ["docker", "run", "--rm", *shut, "--volume", volume, stack.image, *stack.check]


def start(stack: Stack) -> list[str]:
    """Starts a part and waits for it to run."""
    return ["sh", "-c", _START, "start", stack.project, f"{ROOT}/{stack.name}/{stack.home}"]


def retire(name: str, keys: Iterable[str]) -> list[str]:
    """Stops and removes the parts of these keys with their files; one that isn't there is no failure."""
    return ["sh", "-c", _RETIRE, "retire-part", f"{ROOT}/{name}", name, *keys]


def remove(name: str) -> list[str]:
    """Stops and removes all containers of a stack, and its folder; a stack that isn't there is no failure."""
    return ["sh", "-c", _REMOVE, "remove-stack", f"{ROOT}/{name}", name]


def _compose(stack: Stack) -> list[str]:
    folder = f"{ROOT}/{stack.name}/{stack.home}"
    return ["docker", "compose", "--project-name", stack.project, "--project-directory", folder]
