"""Builds the commands that pull images, run a release's containers and tasks, and inspect them.

Scripts are constants that get their values as arguments. Secrets go over stdin.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from deploy.core.commands.paths import NETWORK, ROOT, release_folder
from deploy.core.state.release import Release

PULL_DEADLINE_S = 600.0
FILES_REFUSED = 65
LOGIN_FAILED = 66

STOP_WITHIN_S = 10
"""How long a replica may take to stop after its drain. Its own grace period begins with the drain and is longer."""

_STOP = f'docker stop -t {STOP_WITHIN_S} "$@" >/dev/null; docker rm --force "$@" >/dev/null'

STARTING_SHARES, FULL_SHARES = 128, 1024
"""CPU shares of replicas that start, and of those that users reach. The engine's default is 1024."""


# $1 container, then the command that runs it. A container outlives its client, so it is removed by name at any end.
_TASK = """
task=$1
shift
gone() { docker rm --force "$task" >/dev/null 2>&1; }
gone
trap gone EXIT
trap 'exit 143' HUP INT TERM
"$@" 2>&1 </dev/null
"""


# $1 folder of the login, $2 user, $3 registry, then images; the password on stdin. The login is removed after the pull.
# The time of the file registry-login is that of the last accepted login, for an alert.
_PULL = f"""
rm -rf "$1".*
login=$(mktemp -d "$1.XXXXXX") || exit 1
trap 'rm -rf "$login"' EXIT
trap 'exit 1' HUP INT TERM
export DOCKER_CONFIG="$login"
docker login --username "$2" --password-stdin "$3" >/dev/null || exit {LOGIN_FAILED}
touch "${{1%/*}}/registry-login"
shift 3
for image in "$@"; do docker pull --quiet "$image" || exit 1; done
"""


# $1 project, $2 folder; a second compose file on stdin. compose checks its files before it starts anything; only if it
# failed, another call tells whether that is why.
_START = f"""
compose() {{ docker compose --project-name "$project" --project-directory "$folder" "$@"; }}
project=$1 folder=$2
compose --file "$folder/compose.yml" --file - up --detach --no-recreate --quiet-pull && exit
code=$?
compose config --quiet </dev/null || exit {FILES_REFUSED}
exit "$code"
"""


def create_network(subnet: str) -> list[str]:
    """Creates the network that edge and replicas share. Docker assigns dynamic addresses from x.y.252.0/22 only."""
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
    """Logs in with the password on stdin, pulls and logs out. Exits with LOGIN_FAILED if the login fails."""
    return ["sh", "-c", _PULL, "pull", f"{ROOT}/login", user, registry, *images]


def run_task(release: Release, name: str, words: Iterable[str]) -> list[str]:
    """Runs a one-off container of the release to its end, and first removes one that an interrupted call left."""
    compose = _compose(release.project, release_folder(release.service, release.id))
    container = f"{release.project}-{name.replace('_', '-')}"
    run = ["run", "--rm", "--no-TTY", "--no-deps", "--quiet-pull", "--name", container, "task"]
    return ["sh", "-c", _TASK, "task", container, *compose, "--profile", "task", *run, *words]


def start_replicas(release: Release) -> list[str]:
    """Starts the replicas of a release that don't run yet, and leaves the others as they are.

    `starting_shares` go to stdin. Exits with FILES_REFUSED if compose refused the files; nothing was started then.
    """
    folder = release_folder(release.service, release.id)
    return ["sh", "-c", _START, "start-replicas", release.project, folder]


def starting_shares(release: Release) -> str:
    """Returns a compose file with few CPU shares for each replica: while users are served, they come first.

    It isn't part of the release, whose files and hash don't depend on it.
    """
    shares = {name: {"cpu_shares": STARTING_SHARES} for name in release.names}
    return json.dumps({"services": shares})


def share_fully(names: Iterable[str]) -> list[str]:
    """Gives running containers as many CPU shares as any other container has."""
    return ["docker", "update", "--cpu-shares", str(FULL_SHARES), *names]


def check_compose(release: Release) -> list[str]:
    """Checks a release's compose files without starting anything."""
    return [
        *_compose(release.project, release_folder(release.service, release.id)),
        "config",
        "--quiet",
    ]


def stop_replicas(service: str, release: str) -> list[str]:
    """Stops and removes a release's containers, whose requests have drained or had their time to."""
    grace = ["--timeout", str(STOP_WITHIN_S)]
    return ["docker", "compose", "--project-name", f"{service}-{release}", "down", *grace]


def remove_containers(names: Iterable[str]) -> list[str]:
    """Kills and removes containers. A missing one is no error."""
    return ["docker", "rm", "--force", *names]


def stop_containers(names: Iterable[str]) -> list[str]:
    """Stops and removes containers, as `stop_replicas` does. A missing one is no error."""
    return ["sh", "-c", _STOP, "stop", *names]


def inspect(names: Iterable[str]) -> list[str]:
    """Prints a JSON list of containers."""
    return ["docker", "inspect", *names]


def logs(container: str, *, tail: int) -> list[str]:
    """Prints a container's last lines."""
    return ["docker", "logs", "--tail", str(tail), container]


def remove_images(images: Iterable[str]) -> list[str]:
    """Removes images by reference. One that is in use stays."""
    return ["docker", "image", "rm", *images]


def _compose(project: str, folder: str) -> list[str]:
    return ["docker", "compose", "--project-name", project, "--project-directory", folder]
