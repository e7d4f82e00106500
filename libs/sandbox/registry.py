"""The container of a sandbox's image registry: ECR's host name and user, TLS by the sandbox's CA."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sandbox.containers import ContainerSpec, File, Names
from sandbox.credentials import REGISTRY_NAME, Credentials

PORT = 443
FOLDER = "/sandbox"
DATA = "/var/lib/registry"


def registry_container(
    names: Names, image: str, ports: Mapping[str, int], credentials: Credentials
) -> ContainerSpec:
    """Returns the registry's container; its images are in a volume.

    Hosts pull from it by name. This machine pushes to it through `sandbox.aws.push_proxy`.
    """
    return ContainerSpec(
        name=names.container("registry"),
        image=image,
        aliases=(REGISTRY_NAME, "registry"),
        entrypoint=("docker-registry", "serve", f"{FOLDER}/config.yml"),
        ports=((PORT, ports["registry"]),),
        volumes=((names.volume("registry", "data"), DATA),),
        files=(
            File(f"{FOLDER}/config.yml", render_config().encode()),
            File(f"{FOLDER}/htpasswd", credentials.htpasswd, 0o600),
            File(f"{FOLDER}/tls.crt", credentials.registry_certificate),
            File(f"{FOLDER}/tls.key", credentials.registry_key, 0o600),
        ),
    )


def render_config() -> str:
    """Renders the registry's configuration, as JSON, which is YAML too.

    `relativeurls` lets a client continue an upload under the name by which it reached the registry: hosts and this
    machine use different ones.
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
