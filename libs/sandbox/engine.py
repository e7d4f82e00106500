"""The machine's Docker engine, brought to what a sandbox wants; the only module that talks to it.

Everything made here bears the sandbox's label, and nothing without that label is ever removed.
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
from sandbox.containers import KEY, LABEL, Container, Names, pack
from sandbox.ports import ADDRESS, require_free

TIMEOUT_S = 120
# What a container needs to run an engine inside; --privileged fails where the machine's own capabilities
# are bounded. An empty list of masked paths is what `systempaths=unconfined` means on the wire.
NESTED: Mapping[str, object] = {
    # SYS_PTRACE: to name the network of a container whose user isn't root, the engine looks at its process.
    "CapAdd": ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"],
    "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
    "MaskedPaths": [],
    "ReadonlyPaths": [],
    "Tmpfs": {"/run": "exec,mode=755"},
}
PLAIN: Mapping[str, object] = {"CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]}


class Engine:
    """One sandbox's share of the engine. Raises EngineError where the engine is down or refuses."""

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
        """Makes the sandbox's network if there is none."""
        with _translated("did not make the network"):
            if not self._api.networks(names=[self.names.network], filters=self._filter):
                # The name alone isn't unique to the engine; with check_duplicate a second one is refused.
                self._api.create_network(
                    self.names.network, driver="bridge", check_duplicate=True, labels=self._labels
                )

    def ensure_volume(self, name: str) -> None:
        """Makes a volume if there is none, with our label."""
        with _translated(f"did not make the volume {name}"):
            self._api.create_volume(name, labels=self._labels)

    def image_id(self, reference: str) -> str:
        """Returns the id of an image that the engine holds."""
        with _translated(f"has no image {reference}"):
            identity: str = self._api.inspect_image(reference)["Id"]  # type: ignore[no-untyped-call]
            return identity

    def ensure_container(self, wanted: Container) -> bool:
        """Makes and starts a container unless just this one runs; returns whether anything was done.

        One that was made but never started may lack its files: it is made anew.
        """
        found = self._inspect(wanted.name)
        if found and found["State"]["Running"] and _key_of(found) == wanted.key:
            return False
        purposes = {f"{wanted.name}:{inside}": port for inside, port in wanted.ports}
        if found and found["State"]["Running"]:
            self._remove_container(wanted.name)
            found = None
        require_free(self.names.sandbox, purposes)
        if found and (
            _key_of(found) != wanted.key or found["State"]["StartedAt"].startswith("0001")
        ):
            self._remove_container(wanted.name)
            found = None
        if not found:
            self._create(wanted)
        with _translated(
            f"did not start {wanted.name}",
            otherwise=lambda: require_free(self.names.sandbox, purposes),
        ):
            self._api.start(wanted.name)
        return True

    def run(self, container: str, argv: list[str]) -> tuple[int, str]:
        """Runs a command in a container; returns (exit code, output). 1 if the container doesn't run."""
        try:
            execution: str = self._api.exec_create(container, argv)["Id"]
            output = self._api.exec_start(execution, stream=False)
            code: int | None = self._api.exec_inspect(execution)["ExitCode"]
        except APIError as error:
            return 1, str(error.explanation)
        return 1 if code is None else code, output.decode(errors="replace")

    def logs(self, container: str, lines: int = 5) -> str:
        """Returns the last lines that a container printed, "" if there is none."""
        try:
            text: bytes = self._api.logs(container, tail=lines)
        except APIError:
            return ""
        return text.decode(errors="replace").strip()

    def containers(self) -> list[str]:
        """Names all containers of this sandbox."""
        with _translated("did not list its containers"):
            found = self._api.containers(all=True, filters=self._filter)
        return sorted(each["Names"][0].lstrip("/") for each in found)

    def volumes(self) -> list[str]:
        """Names all volumes of this sandbox."""
        with _translated("did not list its volumes"):
            found = self._api.volumes(filters=self._filter)["Volumes"] or []
        return sorted(each["Name"] for each in found)

    def networks(self) -> list[str]:
        """Returns the ids of all networks of this sandbox."""
        with _translated("did not list its networks"):
            return [each["Id"] for each in self._api.networks(filters=self._filter)]

    def remove_container(self, name: str) -> None:
        """Ends and removes a container of this sandbox, if there is one."""
        if name in self.containers():
            self._remove_container(name)

    def remove_volume(self, name: str) -> None:
        """Removes a volume of this sandbox, if there is one."""
        if name in self.volumes():
            with _translated(f"did not remove the volume {name}"):
                self._api.remove_volume(name, force=True)

    def remove_network(self, identity: str) -> None:
        """Removes a network of this sandbox and cuts off what else somebody connected to it."""
        with _translated("did not remove the network"):
            try:
                connected = self._api.inspect_network(identity)["Containers"] or {}
                for container in connected:
                    self._api.disconnect_container_from_network(container, identity, force=True)
                self._api.remove_network(identity)
            except NotFound:
                return

    def _inspect(self, name: str) -> dict[str, Any] | None:
        with _translated(f"did not look at {name}"):
            try:
                found: dict[str, Any] = self._api.inspect_container(name)
            except NotFound:
                return None
        if found["Config"]["Labels"].get(LABEL) != self.names.sandbox:
            raise EngineError(
                f"a container named {name} is there that no sandbox made; it was left alone",
                hint=f"docker rename {name} another-name, or take another name: ./ship up --sandbox NAME",
            )
        return found

    def _remove_container(self, name: str) -> None:
        with _translated(f"did not remove {name}"):
            try:
                self._api.remove_container(name, force=True, v=True)
            except NotFound:
                return

    def _create(self, wanted: Container) -> None:
        for volume, _ in wanted.volumes:
            self.ensure_volume(volume)
        with _translated(f"did not make {wanted.name}"):
            self._api.create_container_from_config(  # type: ignore[no-untyped-call]
                self._config(wanted), wanted.name
            )
            # One archive into the container's own layer, before it first starts.
            self._api.put_archive(wanted.name, "/", pack(wanted.files))

    def _config(self, wanted: Container) -> dict[str, Any]:
        endpoint = {"Aliases": list(wanted.aliases)}
        return {
            "Image": wanted.image,
            "Hostname": wanted.hostname,
            "User": wanted.user,
            "Entrypoint": list(wanted.entrypoint),
            "Cmd": [],
            "Labels": {**self._labels, KEY: wanted.key},
            "ExposedPorts": {f"{inside}/tcp": {} for inside, _ in wanted.ports},
            "HostConfig": {
                **(NESTED if wanted.nested else PLAIN),
                "Init": True,
                "NetworkMode": self.names.network,
                "RestartPolicy": {"Name": "always"},
                "Binds": [f"{volume}:{path}" for volume, path in wanted.volumes],
                "PortBindings": {
                    f"{inside}/tcp": [{"HostIp": ADDRESS, "HostPort": str(port)}]
                    for inside, port in wanted.ports
                },
                "LogConfig": {"Type": "local", "Config": {"max-size": "5m", "max-file": "2"}},
            },
            "NetworkingConfig": {"EndpointsConfig": {self.names.network: endpoint}},
        }


def _key_of(found: dict[str, Any]) -> str:
    key: str = found["Config"]["Labels"].get(KEY, "")
    return key


@contextmanager
def _translated(what: str, *, otherwise: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Turns the SDK's errors into ours; `otherwise` may raise a better one first."""
    try:
        yield
    except APIError as error:
        otherwise()
        raise EngineError(
            f"the Docker engine {what}: {error.explanation or error}; what was made so far stays",
            hint="repeat the command: it goes on from here",
        ) from error
    except (DockerException, requests.exceptions.RequestException) as error:
        raise EngineError(
            f"the Docker engine can't be reached ({error}); what was made so far stays",
            hint="./ship doctor --fix",
        ) from error
