"""The container of a host: sshd for the deploy user and a Docker engine of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources

from sandbox.containers import ContainerSpec, File, Names
from sandbox.credentials import REGISTRY_NAME
from sandbox.environment import HTTP_PORT
from sandbox.sshkeys import public_line

SSH_PORT = 22
FOLDER = "/sandbox"

# live-restore: replicas survive an update or a crash of the engine.
# dns: nothing listens on port 53 of a container's loopback, so a name that no container has is refused at once. The
# machine's resolver may be out of reach, and nginx would wait for it to resolve a replica that has just stopped. The
# engine's own pulls don't use this setting.
DAEMON: Mapping[str, object] = {
    "live-restore": True,
    "log-driver": "local",
    "log-opts": {"max-size": "10m", "max-file": "3"},
    "dns": ["127.0.0.1"],
}


def host_container(
    names: Names,
    name: str,
    image: str,
    ports: Mapping[str, int],
    *,
    ca_certificate: bytes,
    host_key: bytes,
    deploy_key: bytes,
) -> ContainerSpec:
    """Returns the container of the host `name`. Both keys are private keys in OpenSSH's format."""
    script = f"{FOLDER}/host.sh"
    return ContainerSpec(
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
            File(f"{FOLDER}/ca.crt", ca_certificate),
        ),
        nested=True,
    )


def _resource(name: str) -> bytes:
    return resources.files("sandbox").joinpath("resources", name).read_bytes()
