"""How secrets reach a release's replicas: the files in its folder and the commands that write them; never runs one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deploy.core.commands import paths
from deploy.core.state.secrets import Pinned, Secret

KEY = f"{paths.ROOT}/secrets.key"

# $1 folder of a release, $2 where the key of digests lies; a tar on stdin. Nobody else on the host passes the folder
# `secrets`; a container mounts `files` below it and reads it by its group. replica.json comes last in the tar: where
# it is, all is.
_PLACE_SECRETS = """
umask 077
cd "$1" && rm -rf secrets.new && mkdir secrets.new && tar -x -C secrets.new && [ -f secrets.new/replica.json ] || exit 1
if [ -d secrets.new/files ]; then chmod 0750 secrets.new/files && chmod 0640 secrets.new/files/* || exit 1; fi
if [ -f secrets.new/key ]; then sync secrets.new/key && mv -f secrets.new/key "$2" || exit 1; fi
chmod 0700 secrets.new && find secrets.new -exec sync {} + && rm -rf secrets && mv -T secrets.new secrets
"""


def place_secrets(folder: str) -> list[str]:
    """Makes a release's secrets from a tar on stdin, whole or not at all, for its replicas alone to read."""
    return ["sh", "-c", _PLACE_SECRETS, "secrets", folder, KEY]


def group() -> list[str]:
    """Prints the number of the group that files of ours on the host belong to."""
    return ["id", "--group"]


def render_delivery(
    pins: tuple[Pinned, ...], values: Mapping[str, Secret], *, group: str, salt: str
) -> tuple[tuple[str, str, int], ...]:
    """Returns the files of a release's secrets folder: (path, text, mode).

    `files/` is what replicas see at /run/secrets; `group` is the number of the group that may read it, which
    replicas join. replica.json, which the release's compose.yml extends, says so to compose and holds what goes into
    the environment. Compose labels each container with an open hash of all that, `salt` makes it say nothing.
    """
    files = [
        (f"files/{pin.name}", values[pin.name].reveal(), 0o640)
        for pin in pins
        if pin.into == "file"
    ]
    told = {pin.name: values[pin.name].reveal() for pin in pins if pin.into == "env"}
    replica: dict[str, Any] = {"extends": {"file": "../replica.yml", "service": "replica"}}
    if files:
        replica["group_add"] = [group]
    if told:
        replica |= {"environment": told, "annotations": {"py-cicd.salt": salt}}
    document = {"services": {"replica": replica}}
    return (*files, ("replica.json", json.dumps(document).replace("$", "$$") + "\n", 0o600))
