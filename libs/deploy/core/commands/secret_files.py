"""Writes the secrets of a release on a host: renders the files, and builds the commands that put them in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy.core.commands import paths
from deploy.core.state.secrets import Pinned, Secret
from deploy.core.yaml_text import write_yaml

KEY = f"{paths.ROOT}/secrets.key"

# $1 folder of a release, $2 path of the key of digests; a tar on stdin. Only the owner can enter the folder `secrets`.
# A container mounts `files` below it and reads it through its group. replica.json is the last file of the tar, so its
# presence proves that the tar is complete.
_PLACE_SECRETS = """
umask 077
cd "$1" && rm -rf secrets.new && mkdir secrets.new && tar -x -C secrets.new && [ -f secrets.new/replica.json ] || exit 1
if [ -d secrets.new/files ]; then chmod 0750 secrets.new/files && chmod 0640 secrets.new/files/* || exit 1; fi
if [ -f secrets.new/key ]; then sync secrets.new/key && mv -f secrets.new/key "$2" || exit 1; fi
chmod 0700 secrets.new && find secrets.new -exec sync {} + && rm -rf secrets && mv -T secrets.new secrets
"""


def place_secrets(folder: str) -> list[str]:
    """Replaces a release's secrets by a tar on stdin, whole or not at all. Only its replicas can read them."""
    return ["sh", "-c", _PLACE_SECRETS, "secrets", folder, KEY]


def group() -> list[str]:
    """Prints the id of the group that owns the tool's files on the host."""
    return ["id", "--group"]


def render_secret_files(
    pins: tuple[Pinned, ...], values: Mapping[str, Secret], *, group: str, salt: str
) -> tuple[tuple[str, str, int], ...]:
    """Returns the files of a release's `secrets` folder as (path, text, mode).

    Replicas see `files/` at /run/secrets and join `group`, the id of the group that may read it. The release's
    compose.yml extends replica.json, which sets that group and the secrets of the environment. Compose labels each
    container with a hash of its configuration; `salt` keeps anyone from guessing a secret by that hash.
    """
    files = [
        (f"files/{pin.name}", values[pin.name].reveal(), 0o640)
        for pin in pins
        if pin.into == "file"
    ]
    environment = {pin.name: values[pin.name].reveal() for pin in pins if pin.into == "env"}
    replica: dict[str, Any] = {"extends": {"file": "../replica.yml", "service": "replica"}}
    if files:
        replica["group_add"] = [group]
    if environment:
        replica |= {"environment": environment, "annotations": {"py-cicd.salt": salt}}
    document = {"services": {"replica": replica}}
    return (*files, ("replica.json", write_yaml(document, indent=None).replace("$", "$$"), 0o600))
