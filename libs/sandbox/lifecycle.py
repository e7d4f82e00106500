"""Makes and removes sandboxes; the same call finishes what an earlier one left half done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from functools import partial
from pathlib import Path

from deploy.errors import EngineError, UsageError
from sandbox import (
    aws_process,
    ports,
    readiness,
    sshkeys,
    state,
)
from sandbox import credentials as identities
from sandbox import hosts as host_parts
from sandbox.containers import Container
from sandbox.credentials import (
    MOST_HOSTS,
    Identity,
    host_names,
)
from sandbox.engine import Engine
from sandbox.environment import render_environment
from sandbox.monitoring import (
    Watch,
    alertmanager,
    collector,
    pushgateway,
)
from sandbox.registry import registry
from sandbox.state import Folder

Say = Callable[[str], None]
BaseImage = Callable[[str], str]
AT_ONCE = 4
# "pushes" is where this machine reaches the registry: the gate, in the control plane's process.
OF_CONTROL_PLANE = ("control plane", "pushes")
WATCHING = ("prometheus", "alertmanager", "pushgateway")
PURPOSES = (*OF_CONTROL_PLANE, "registry", *WATCHING)


def create(
    name: str, hosts: int, say: Say, *, base_image: BaseImage, watch: Watch | None = None
) -> Path:
    """Brings a sandbox to `hosts` hosts and all their company; returns its environment file.

    `base_image` gives an image that the engine holds for `host`, `registry`, `prometheus` or `alerting`; `watch` is
    what the environment is watched by. Idempotent; more hosts are added, surplus ones removed with all that is on
    them. Raises a ShipError of some kind.
    """
    if not 1 <= hosts <= MOST_HOSTS:
        raise UsageError(
            f"a sandbox has 1 to {MOST_HOSTS} hosts, not {hosts}", hint="./ship up --hosts 2"
        )
    place = state.folder(name)
    with closing(Engine(name)) as engine, state.locked(place):
        making = _Making(place, engine, host_names(hosts), say, watch or Watch())
        return making.make(base_image)


def destroy(name: str, say: Say) -> None:
    """Removes all that `create` made, whole or half, and nothing else; does nothing if there is nothing."""
    place = state.folder(name)
    try:
        engine = Engine(name)
    except EngineError:
        # No folder, no engine: then there is nothing that we could have made.
        if place.path.exists():
            raise
        return
    with closing(engine), state.locked(place):
        aws_process.stop(place)
        _in_parallel(engine.remove_container, engine.containers())
        _in_parallel(engine.remove_volume, engine.volumes())
        for network in engine.networks():
            engine.remove_network(network)
        place.remove()
    say(f"sandbox {name}: containers, volumes, network, control plane and {place.path} are gone")


class _Making:
    """One run of `create`."""

    def __init__(
        self, place: Folder, engine: Engine, hosts: tuple[str, ...], say: Say, watch: Watch
    ) -> None:
        self._place = place
        self._engine = engine
        self._hosts = hosts
        self._say = say
        self._watch = watch
        self._given_up = threading.Event()

    def make(self, base_image: BaseImage) -> Path:
        identity = identities.ensure(self._place)
        purposes = [f"{host} {what}" for host in self._hosts for what in ("ssh", "http")]
        given = ports.claim(self._place, [*PURPOSES, *purposes])
        self._engine.ensure_network()
        if aws_process.ensure_running(
            self._place, {each: given[each] for each in OF_CONTROL_PLANE}
        ):
            self._say("ECR control plane: started")
        self._containers(base_image, identity, given)
        aws_process.await_ready(self._place, given["control plane"])
        self._write(identity, given)
        self._remove_surplus()
        return self._place.environment

    def _containers(self, base_image: BaseImage, identity: Identity, given: dict[str, int]) -> None:
        names = self._engine.names
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running: list[Future[None]] = []
            try:
                image = self._engine.image_id(base_image("registry"))
                wanted = registry(names, image, given, identity)
                running.append(
                    pool.submit(self._start, wanted, lambda: self._registry_ready(given))
                )
                image = self._engine.image_id(base_image("host"))
                for host in self._hosts:
                    wanted = self._host(host, image, identity, given)
                    ready = self._host_ready(wanted.name, given[f"{host} ssh"])
                    running.append(pool.submit(self._start, wanted, ready))
                for part in self._watching(base_image, identity, given):
                    listening = part.ports[0][1]
                    ready = partial(readiness.answers, listening, "/-/ready")
                    running.append(pool.submit(self._start, part, ready))
                for done in as_completed(running):
                    done.result()
            except BaseException:
                # Ctrl-C too: what runs comes to its end soon, what waits doesn't begin.
                self._given_up.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _watching(
        self, base_image: BaseImage, identity: Identity, given: dict[str, int]
    ) -> tuple[Container, ...]:
        names, watch = self._engine.names, self._watch
        image = self._engine.image_id(base_image("prometheus"))
        alerting = self._engine.image_id(base_image("alerting"))
        return (
            collector(names, image, given, self._hosts, identity, watch),
            alertmanager(names, alerting, given, watch),
            pushgateway(names, alerting, given),
        )

    def _host(self, host: str, image: str, identity: Identity, given: dict[str, int]) -> Container:
        return host_parts.host(
            self._engine.names,
            host,
            image,
            given,
            authority=identity.authority,
            host_key=identities.ensure_host_key(self._place, host),
            deploy_key=identity.deploy_key,
        )

    def _start(self, wanted: Container, ready: Callable[[], bool]) -> None:
        part = wanted.aliases[-1]
        if self._engine.ensure_container(wanted):
            self._say(f"{part}: started")
        readiness.await_ready(part, ready, self._given_up, lambda: self._engine.logs(wanted.name))

    def _registry_ready(self, given: dict[str, int]) -> bool:
        return readiness.asks_for_password(given["registry"], self._place.path / "ca.crt")

    def _host_ready(self, container: str, ssh: int) -> Callable[[], bool]:
        version = ["docker", "version", "--format", "{{.Server.Version}}"]
        return lambda: readiness.speaks_ssh(ssh) and self._engine.run(container, version)[0] == 0

    def _write(self, identity: Identity, given: dict[str, int]) -> None:
        """Writes what the deploy tool reads; the environment file last, so that it means a whole sandbox."""
        lines = sshkeys.known_hosts(
            (
                ports.ADDRESS,
                given[f"{host} ssh"],
                sshkeys.public_line(identities.ensure_host_key(self._place, host)),
            )
            for host in self._hosts
        )
        self._place.write("known_hosts", lines.encode())
        text = render_environment(self._place.name, given, self._hosts)
        self._place.write(state.ENVIRONMENT, text.encode())

    def _remove_surplus(self) -> None:
        names = self._engine.names
        wanted = {names.container(host) for host in self._hosts}
        kept = wanted | {names.container(part) for part in ("registry", *WATCHING)}
        for surplus in self._engine.containers():
            if surplus not in kept:
                self._engine.remove_container(surplus)
                for volume in self._engine.volumes():
                    if volume.startswith(f"{surplus}-"):
                        self._engine.remove_volume(volume)
                self._say(f"{surplus.removeprefix(names.container(''))}: removed")


def _in_parallel(act: Callable[[str], None], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(act, name) for name in names]:
            done.result()
