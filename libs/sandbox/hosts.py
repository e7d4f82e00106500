"""A container that is a host: sshd for the deploy user and a Docker engine of its own, as a value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources

from sandbox.containers import Container, File, Names
from sandbox.credentials import REGISTRY_NAME
from sandbox.environment import HTTP_PORT
from sandbox.sshkeys import public_line

SSH_PORT = 22
FOLDER = "/sandbox"

# live-restore: an engine that is updated or dies doesn't take the replicas along.
# dns: a name that no container bears is refused at once by the container itself, where nothing listens on 53.
# The machine's resolver would be asked for it, and may be out of reach; a replica that has just stopped would
# then hold up nginx. The engine's own pulls don't go this way.
DAEMON: Mapping[str, object] = {
    "live-restore": True,
    "log-driver": "local",
    "log-opts": {"max-size": "10m", "max-file": "3"},
    "dns": ["127.0.0.1"],
}


def host(
    names: Names,
    name: str,
    image: str,
    ports: Mapping[str, int],
    *,
    authority: bytes,
    host_key: bytes,
    deploy_key: bytes,
) -> Container:
    """Describes a host; the keys are private ones in OpenSSH's format, `authority` a certificate."""
    script = f"{FOLDER}/host.sh"
    return Container(
        name=names.container(name),
        image=image,
        aliases=(name,),
        hostname=name,
        entrypoint=("/bin/sh", script),
        ports=((SSH_PORT, ports[f"{name} ssh"]), (HTTP_PORT, ports[f"{name} http"])),
        volumes=(
            (names.volume(name, "docker"), "/var/lib/docker"),
            (names.volume(name, "srv"), "/srv/py-cicd"),
        ),
        files=(
            File(script, _resource("host.sh"), 0o755),
            File(f"{FOLDER}/sshd_config", _resource("sshd_config")),
            File(f"{FOLDER}/ssh_host_ed25519_key", host_key, 0o600),
            File(f"{FOLDER}/authorized_keys", f"{public_line(deploy_key)}\n".encode()),
            File(f"{FOLDER}/daemon.json", json.dumps(DAEMON, indent=2).encode()),
            File(f"{FOLDER}/registry_name", REGISTRY_NAME.encode()),
            File(f"{FOLDER}/ca.crt", authority),
        ),
        nested=True,
    )


def _resource(name: str) -> bytes:
    return resources.files("sandbox").joinpath("resources", name).read_bytes()
