"""The sandbox's image registry: ECR's name, TLS by the private authority, ECR's user; as a value."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sandbox.containers import Container, File, Names
from sandbox.credentials import REGISTRY_NAME, Identity

PORT = 443
FOLDER = "/sandbox"
DATA = "/var/lib/registry"


def registry(names: Names, image: str, ports: Mapping[str, int], identity: Identity) -> Container:
    """Describes the registry; what it holds lies in a volume.

    Its hosts pull from it by name; this machine pushes to it through `sandbox.aws.push_proxy`.
    """
    return Container(
        name=names.container("registry"),
        image=image,
        aliases=(REGISTRY_NAME, "registry"),
        entrypoint=("docker-registry", "serve", f"{FOLDER}/config.yml"),
        ports=((PORT, ports["registry"]),),
        volumes=((names.volume("registry", "data"), DATA),),
        files=(
            File(f"{FOLDER}/config.yml", render_config().encode()),
            File(f"{FOLDER}/htpasswd", identity.htpasswd, 0o600),
            File(f"{FOLDER}/tls.crt", identity.registry_certificate),
            File(f"{FOLDER}/tls.key", identity.registry_key, 0o600),
        ),
    )


def render_config() -> str:
    """Writes the registry's configuration; JSON is YAML.

    `relativeurls`: it is reached under two names, so an upload goes on where the client is.
    """
    document = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": DATA},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
        },
        "http": {
            "addr": f":{PORT}",
            "relativeurls": True,
            "tls": {"certificate": f"{FOLDER}/tls.crt", "key": f"{FOLDER}/tls.key"},
        },
        "auth": {"htpasswd": {"realm": "py-cicd sandbox", "path": f"{FOLDER}/htpasswd"}},
    }
    return json.dumps(document, indent=2) + "\n"
