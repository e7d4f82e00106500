"""Argv lists and the few scripts that hosts run, with the paths they use; never runs one.

Scripts are fixed texts whose values come as arguments, never by pasting. Secrets go over stdin.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

from deploy.core.releases import Release

ROOT = "/srv/py-cicd"
NETWORK = "py-cicd"
EDGE_CONF = f"{ROOT}/edge/conf"
ROUTES = f"{EDGE_CONF}/routes.conf"
TARGETS = f"{ROOT}/metrics/conf/targets"

LOGIN_REFUSED = 66

# $1 folder. A tar on stdin becomes the folder, whole or not at all. Secrets that replicas in it read are moved, not
# copied: a replica's mount is of that very folder. A kill may have left them where they were moved to.
_PLACE = """
if [ -d "$1.new/secrets" ] && [ ! -d "$1/secrets" ]; then
  mkdir -p "$1" && mv -T "$1.new/secrets" "$1/secrets" || exit 1
fi
rm -rf "$1.new" && mkdir -p "$1.new" && tar -x -C "$1.new" && sync "$1.new" || exit 1
if [ -d "$1/secrets" ]; then mv -T "$1/secrets" "$1.new/secrets" || exit 1; fi
rm -rf "$1" && mv -T "$1.new" "$1"
"""

# $1 folder. A tar on stdin is laid over the folder.
_OVERLAY = 'mkdir -p "$1" && tar -x -C "$1"'

# $1 container, then the command that runs it. A container outlives its client, so it goes by name, whatever ends us.
_TASK = """
task=$1
shift
gone() { docker rm --force "$task" >/dev/null 2>&1; }
gone
trap gone EXIT
trap 'exit 143' HUP INT TERM
"$@" 2>&1 </dev/null
"""

# $1 folder. Of a tar on stdin only what is missing in the folder is written.
_SEED = 'mkdir -p "$1" && tar -x --skip-old-files -C "$1"'

# $1 folder of the login, $2 user, $3 registry, then images; the password on stdin. The login ends with the pull;
# when it was last accepted stays, for an alert.
_PULL = """
rm -rf "$1".*
login=$(mktemp -d "$1.XXXXXX") || exit 1
trap 'rm -rf "$login"' EXIT
trap 'exit 1' HUP INT TERM
export DOCKER_CONFIG="$login"
docker login --username "$2" --password-stdin "$3" >/dev/null || exit 66
touch "${1%/*}/registry-login"
shift 3
for image in "$@"; do docker pull --quiet "$image" || exit 1; done
"""

# $1 release, $2 seconds. Counts the lines of the edge's access log for a release, and those that failed.
_COUNT = """
for edge in $(docker ps --quiet --filter label=py-cicd.name=edge); do
  docker logs --since "$2s" "$edge" 2>/dev/null || exit 1
done | awk -v release="\\"release\\":\\"$1\\"" '
  index($0, release) && match($0, /"status":[0-9]+/) {
    total++
    if (substr($0, RSTART + 9, 3) >= 500) failed++
  }
  END { print total + 0, failed + 0 }'
"""

# $1 folder, $2 file, $3 how many are kept; the text on stdin.
_KEEP = """
mkdir -p "$1" && cd "$1" && cat > "$2.new" && mv "$2.new" "$2" || exit 1
ls | grep '[.]json$' | head -n "-$3" | xargs -r rm -f --
"""

# What is looked at of a container: never its environment, where secrets may be.
_CONTAINER = (
    '{"Id":{{json .Id}},"Name":{{json .Name}},"RestartCount":{{json .RestartCount}},"State":{{json .State}},'
    '"Config":{"Labels":{{json .Config.Labels}},"Image":{{json .Config.Image}}},'
    '"NetworkSettings":{"Networks":{{json .NetworkSettings.Networks}}}}'
)

# One call of the client, each of which takes some 50 ms; the folder of the engine's data comes last.
_ENGINE = (
    'engine {{.ServerVersion}}{{"\\n"}}'
    'compose {{range .ClientInfo.Plugins}}{{if eq .Name "compose"}}{{.Version}}{{end}}{{end}}{{"\\n"}}'
    "data {{.DockerRootDir}}"
)

# $1 root, $2 what of a container, $3 of the engine. A line a fact, each with its kind in front.
_LOOK = """
engine=$(docker info --format "$3") || exit 1
printf '%s\\n' "$engine"
data=${engine##*data }
[ -d "$data" ] || data=/
printf 'disk %s\\n' "$(df --output=avail --block-size=1 "$data" | tail -n 1)"
grep -h ' 0A ' /proc/net/tcp /proc/net/tcp6 2>/dev/null | sed 's/^/socket /'
docker network inspect py-cicd --format 'network {{.Name}}' 2>/dev/null
docker image ls --digests --format 'image {{.Repository}}@{{.Digest}}'
docker ps --all --quiet --filter label=py-cicd.name | xargs -r docker inspect --format 'container '"$2"
cat "$1"/services/*/releases/*/release.json 2>/dev/null | sed 's/^/release /'
cat "$1"/edge/conf/routes.conf 2>/dev/null | sed -n '1s/^/routes /p'
(cd "$1/metrics/conf/targets" 2>/dev/null && sha256sum -- *.json 2>/dev/null) | sed 's/^/targets /'
printf 'now %s\n' "$(date +%s)"
grep -v -e '"event": "effect"' -e '"event": "judged"' "$1"/ledger.jsonl 2>/dev/null | sed 's/^/ledger /'
for hold in "$1"/services/*/hold.json; do
  [ -e "$hold" ] && printf 'hold %s\n' "$(cat "$hold")"
done
true
"""


def look() -> list[str]:
    """Prints all that a plan is made from; never changes anything."""
    return ["sh", "-c", _LOOK, "look", ROOT, _CONTAINER, _ENGINE]


def place(folder: str) -> list[str]:
    """Makes a folder from a tar on stdin, whole or not at all."""
    return ["sh", "-c", _PLACE, "place", folder]


def overlay(folder: str) -> list[str]:
    """Lays a tar on stdin over a folder."""
    return ["sh", "-c", _OVERLAY, "overlay", folder]


def seed(folder: str) -> list[str]:
    """Lays a tar on stdin under a folder: what is there already stays as it is."""
    return ["sh", "-c", _SEED, "seed", folder]


def create_network(subnet: str) -> list[str]:
    """Makes the network that edge and replicas share; Docker gives addresses of its own from x.y.252.0/22."""
    start = ".".join(subnet.split(".")[:2])
    dynamic = ["--ip-range", f"{start}.252.0/22", "--gateway", f"{start}.255.254"]
    return [
        "docker",
        "network",
        "create",
        "--driver",
        "bridge",
        "--subnet",
        subnet,
        *dynamic,
        NETWORK,
    ]


def pull(user: str, registry: str, images: Iterable[str]) -> list[str]:
    """Logs in with the password on stdin, pulls, forgets the login. 66: login refused."""
    return ["sh", "-c", _PULL, "pull", f"{ROOT}/login", user, registry, *images]


def count_answers(release: str, since_s: float) -> list[str]:
    """Prints how many answers for a release the edge gave in the last seconds, and how many of them were 5xx."""
    return ["sh", "-c", _COUNT, "count", release, f"{since_s:.3f}"]


def keep_chronicle(service: str, turn: int) -> list[str]:
    """Keeps a deploy's chronicle (stdin) with the hundred before it."""
    return ["sh", "-c", _KEEP, "keep", chronicles(service), f"{turn:06d}.json", "100"]


def chronicles(service: str) -> str:
    """Names the folder of a service's chronicles on a host."""
    return f"{ROOT}/services/{service}/rollouts"


def release_folder(service: str, release: str) -> str:
    """Names the folder of a release on a host."""
    return f"{service_folder(service)}/releases/{release}"


def hold_file(service: str) -> str:
    """Names the record of a held candidate on a host."""
    return f"{service_folder(service)}/hold.json"


def service_folder(service: str) -> str:
    """Names the folder of a service on a host."""
    return f"{ROOT}/services/{service}"


def run_task(release: Release, name: str, words: Iterable[str]) -> list[str]:
    """Runs a one-off container of the release to its end, its output together; what a kill left of it goes first."""
    compose = _compose(release.project, release_folder(release.service, release.id))
    container = f"{release.project}-{name.replace('_', '-')}"
    run = ["run", "--rm", "--no-TTY", "--no-deps", "--quiet-pull", "--name", container, "task"]
    return ["sh", "-c", _TASK, "task", container, *compose, "--profile", "task", *run, *words]


def start_replicas(release: Release) -> list[str]:
    """Starts what of a release doesn't run yet; never recreates what does."""
    folder = release_folder(release.service, release.id)
    return [*_compose(release.project, folder), "up", "--detach", "--no-recreate", "--quiet-pull"]


def check_compose(release: Release) -> list[str]:
    """Lets compose judge a release's files without starting anything."""
    return [
        *_compose(release.project, release_folder(release.service, release.id)),
        "config",
        "--quiet",
    ]


def stop_replicas(service: str, release: str) -> list[str]:
    """Stops and removes a release's containers, each within its own grace period."""
    return ["docker", "compose", "--project-name", f"{service}-{release}", "down"]


def remove_containers(names: Iterable[str]) -> list[str]:
    """Ends and removes containers at once; one that isn't there is no failure."""
    return ["docker", "rm", "--force", *names]


def retire_containers(names: Iterable[str]) -> list[str]:
    """Stops containers, each within its own grace period, and removes them."""
    return [
        "sh",
        "-c",
        'docker stop "$@" >/dev/null && docker rm "$@" >/dev/null',
        "retire",
        *names,
    ]


def inspect(names: Iterable[str]) -> list[str]:
    """Prints a JSON list of containers."""
    return ["docker", "inspect", *names]


def logs(container: str, *, tail: int) -> list[str]:
    """Prints a container's last lines."""
    return ["docker", "logs", "--tail", str(tail), container]


def remove_folders(folders: Iterable[str]) -> list[str]:
    """Removes folders and all in them."""
    return ["rm", "-rf", *folders]


def remove_images(images: Iterable[str]) -> list[str]:
    """Removes images by reference; one that is in use stays."""
    return ["docker", "image", "rm", *images]


def tar_of(files: Iterable[tuple[str, str, int]]) -> bytes:
    """Packs (path, text, mode) as a tar, in memory."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text, mode in files:
            content = text.encode()
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def _compose(project: str, folder: str) -> list[str]:
    return ["docker", "compose", "--project-name", project, "--project-directory", folder]
