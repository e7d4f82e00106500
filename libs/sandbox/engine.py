"""Creates, inspects and removes a sandbox's containers, volumes and network in this machine's Docker engine.

They all have the sandbox's label. Nothing without that label is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env

from deploy.errors import EngineError
from sandbox.containers import KEY, LABEL, ContainerSpec, Names, pack
from sandbox.ports import ADDRESS, require_free

TIMEOUT_S = 120
# A container needs this to run an engine inside. --privileged would fail where the machine's own capabilities are
# bounded. The API's form of `systempaths=unconfined` is an empty list of masked paths.
NESTED: Mapping[str, object] = {
    # The engine needs SYS_PTRACE to find the network namespace of a container whose user isn't root.
    "CapAdd": ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"],
    "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
    "MaskedPaths": [],
    "ReadonlyPaths": [],
    "Tmpfs": {"/run": "exec,mode=755"},
}
PLAIN: Mapping[str, object] = {"CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]}


class SandboxEngine:
    """The part of the engine that belongs to one sandbox. Raises EngineError where the engine is down or refuses."""

    def __init__(self, sandbox: str) -> None:
        self.names = Names(sandbox)
        self._labels = {LABEL: sandbox}
        self._filter = {"label": f"{LABEL}={sandbox}"}
        with _translated("can't be reached"):
            self._api = docker.APIClient(version="auto", timeout=TIMEOUT_S, **kwargs_from_env())

    def close(self) -> None:
        """Closes the connections."""
        self._api.close()

    def ensure_network(self) -> None:
        """Creates the sandbox's network if it is missing."""
        with _translated("did not create the network"):
            if not self._api.networks(names=[self.names.network], filters=self._filter):
                # Names of networks aren't unique; check_duplicate makes the engine refuse a second one.
                self._api.create_network(
                    self.names.network, driver="bridge", check_duplicate=True, labels=self._labels
                )

    def ensure_volume(self, name: str) -> None:
        """Creates a volume if it is missing."""
        with _translated(f"did not create the volume {name}"):
            self._api.create_volume(name, labels=self._labels)

    def image_id(self, reference: str) -> str:
        """Returns the id of an image."""
        with _translated(f"has no image {reference}"):
            image_id: str = self._api.inspect_image(reference)["Id"]  # type: ignore[no-untyped-call]
            return image_id

    def ensure_container(self, spec: ContainerSpec) -> bool:
        """Creates and starts a container unless it runs with this spec. Returns whether anything was done.

        A container that was created but never started may lack its files, so it is replaced.
        """
        found = self._inspect(spec.name)
        if found and found["State"]["Running"] and _key_of(found) == spec.key:
            return False
        purposes = {f"{spec.name}:{inside}": port for inside, port in spec.ports}
        if found and found["State"]["Running"]:
            self._remove_container(spec.name)
            found = None
        require_free(self.names.sandbox, purposes)
        if found and (_key_of(found) != spec.key or found["State"]["StartedAt"].startswith("0001")):
            self._remove_container(spec.name)
            found = None
        if not found:
            self._create(spec)
        with _translated(
            f"did not start {spec.name}",
            on_refusal=lambda: require_free(self.names.sandbox, purposes),
        ):
            self._api.start(spec.name)
        return True

    def run(self, container: str, argv: list[str]) -> tuple[int, str]:
        """Runs a command in a container. Returns its exit code and output, 1 and the reason if it did not run."""
        try:
            execution: str = self._api.exec_create(container, argv)["Id"]
            output = self._api.exec_start(execution, stream=False)
            code: int | None = self._api.exec_inspect(execution)["ExitCode"]
        except APIError as error:
            return 1, str(error.explanation)
        return 1 if code is None else code, output.decode(errors="replace")

    def logs(self, container: str, lines: int = 5) -> str:
        """Returns the last lines of a container's log, "" if there is no such container."""
        try:
            text: bytes = self._api.logs(container, tail=lines)
        except APIError:
            return ""
        return text.decode(errors="replace").strip()

    def containers(self) -> list[str]:
        """Returns the names of this sandbox's containers, sorted."""
        with _translated("did not list its containers"):
            found = self._api.containers(all=True, filters=self._filter)
        return sorted(container["Names"][0].lstrip("/") for container in found)

    def volumes(self) -> list[str]:
        """Returns the names of this sandbox's volumes, sorted."""
        with _translated("did not list its volumes"):
            found = self._api.volumes(filters=self._filter)["Volumes"] or []
        return sorted(volume["Name"] for volume in found)

    def networks(self) -> list[str]:
        """Returns the ids of this sandbox's networks."""
        with _translated("did not list its networks"):
            return [network["Id"] for network in self._api.networks(filters=self._filter)]

    def remove_container(self, name: str) -> None:
        """Stops and removes a container if this sandbox has it."""
        if name in self.containers():
            self._remove_container(name)

    def remove_volume(self, name: str) -> None:
        """Removes a volume if this sandbox has it."""
        if name in self.volumes():
            with _translated(f"did not remove the volume {name}"):
                self._api.remove_volume(name, force=True)

    def remove_network(self, network: str) -> None:
        """Removes a network after disconnecting every container, also those that a user connected."""
        with _translated("did not remove the network"):
            try:
                connected = self._api.inspect_network(network)["Containers"] or {}
                for container in connected:
                    self._api.disconnect_container_from_network(container, network, force=True)
                self._api.remove_network(network)
            except NotFound:
                return

    def _inspect(self, name: str) -> dict[str, Any] | None:
        with _translated(f"did not inspect {name}"):
            try:
                found: dict[str, Any] = self._api.inspect_container(name)
            except NotFound:
                return None
        if found["Config"]["Labels"].get(LABEL) != self.names.sandbox:
            raise EngineError(
                f"the container {name} exists but does not belong to this sandbox; it was not changed",
                hint=f"docker rename {name} another-name, or name the sandbox differently: ./ship up --sandbox NAME",
            )
        return found

    def _remove_container(self, name: str) -> None:
        with _translated(f"did not remove {name}"):
            try:
                self._api.remove_container(name, force=True, v=True)
            except NotFound:
                return

    def _create(self, spec: ContainerSpec) -> None:
        for volume, _ in spec.volumes:
            self.ensure_volume(volume)
        with _translated(f"did not create {spec.name}"):
            self._api.create_container_from_config(  # type: ignore[no-untyped-call]
                self._config(spec), spec.name
            )
            # The files go into the container's own layer before it starts for the first time.
            self._api.put_archive(spec.name, "/", pack(spec.files))

    def _config(self, spec: ContainerSpec) -> dict[str, Any]:
        endpoint = {"Aliases": list(spec.aliases)}
        return {
            "Image": spec.image,
            "Hostname": spec.hostname,
            "User": spec.user,
            "Entrypoint": list(spec.entrypoint),
            "Cmd": [],
            "Labels": {**self._labels, KEY: spec.key},
            "ExposedPorts": {f"{inside}/tcp": {} for inside, _ in spec.ports},
            "HostConfig": {
                **(NESTED if spec.nested else PLAIN),
                "Init": True,
                "NetworkMode": self.names.network,
                "RestartPolicy": {"Name": "always"},
                "Binds": [f"{volume}:{path}" for volume, path in spec.volumes],
                "PortBindings": {
                    f"{inside}/tcp": [{"HostIp": ADDRESS, "HostPort": str(port)}]
                    for inside, port in spec.ports
                },
                "LogConfig": {"Type": "local", "Config": {"max-size": "5m", "max-file": "2"}},
            },
            "NetworkingConfig": {"EndpointsConfig": {self.names.network: endpoint}},
        }


def _key_of(found: dict[str, Any]) -> str:
    key: str = found["Config"]["Labels"].get(KEY, "")
    return key


@contextmanager
def _translated(failure: str, *, on_refusal: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Turns the SDK's errors into EngineError. Calls `on_refusal` first, which may raise a more precise error."""
    try:
        yield
    except APIError as error:
        on_refusal()
        raise EngineError(
            f"the Docker engine {failure}: {error.explanation or error}; what was created so far stays",
            hint="repeat the command: it continues from here",
        ) from error
    except (DockerException, requests.exceptions.RequestException) as error:
        raise EngineError(
            f"the Docker engine can't be reached ({error}); what was created so far stays",
            hint="./ship doctor --fix",
        ) from error
