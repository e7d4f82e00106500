"""Creates and removes sandboxes. A repeated call completes one that was interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from functools import partial
from pathlib import Path

from deploy.errors import EngineError
from sandbox import (
    aws_process,
    credentials,
    ports,
    readiness,
    sshkeys,
    state,
)
from sandbox.containers import ContainerSpec
from sandbox.credentials import (
    Credentials,
    host_names,
)
from sandbox.engine import SandboxEngine
from sandbox.environment import render_environment
from sandbox.hosts import host_container
from sandbox.monitoring import (
    MonitoringConfig,
    alertmanager_container,
    prometheus_container,
    pushgateway_container,
)
from sandbox.registry import registry_container
from sandbox.state import Folder

Report = Callable[[str], None]
BaseImage = Callable[[str], str]
MAX_PARALLEL = 4
MONITORING = ("prometheus", "alertmanager", "pushgateway")
PURPOSES = (ports.AWS_SERVER, ports.PUSH_PROXY, "registry", *MONITORING)


def create(
    name: str,
    hosts: int,
    report: Report,
    *,
    base_image: BaseImage,
    monitoring: MonitoringConfig | None = None,
) -> Path:
    """Brings a sandbox to `hosts` hosts, with registry, AWS server and monitoring. Returns its environment file.

    Idempotent: missing hosts are added, surplus ones are removed with their volumes. `report` gets a line for each
    thing that was started or removed. `base_image` returns the reference of an image that the engine has, for `host`,
    `registry`, `prometheus` or `alerting`. Raises a ShipError if something can't be created.
    """
    names = host_names(hosts)
    folder = state.folder(name)
    with closing(SandboxEngine(name)) as engine, state.locked(folder):
        config = monitoring or MonitoringConfig()
        creation = _Creation(folder, engine, names, report, config)
        return creation.run(base_image)


def destroy(name: str, report: Report) -> None:
    """Removes everything that `create` made, even if it was interrupted. Does nothing if there is no such sandbox.

    Raises EngineError if the engine is down and the sandbox has a folder.
    """
    folder = state.folder(name)
    try:
        engine = SandboxEngine(name)
    except EngineError:
        # The folder is made first: without it there are no containers either.
        if folder.path.exists():
            raise
        return
    with closing(engine), state.locked(folder):
        aws_process.stop(folder)
        _in_parallel(engine.remove_container, engine.containers())
        _in_parallel(engine.remove_volume, engine.volumes())
        for network in engine.networks():
            engine.remove_network(network)
        folder.remove()
    report(f"sandbox {name}: removed containers, volumes, network, AWS server and {folder.path}")


class _Creation:
    """One run of `create`."""

    def __init__(
        self,
        folder: Folder,
        engine: SandboxEngine,
        hosts: tuple[str, ...],
        report: Report,
        monitoring: MonitoringConfig,
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._hosts = hosts
        self._report = report
        self._monitoring = monitoring
        self._cancelled = threading.Event()

    def run(self, base_image: BaseImage) -> Path:
        made = credentials.ensure(self._folder)
        purposes = [f"{host} {protocol}" for host in self._hosts for protocol in ("ssh", "http")]
        claimed = ports.claim(self._folder, [*PURPOSES, *purposes])
        self._engine.ensure_network()
        aws_ports = {
            "the AWS server": claimed[ports.AWS_SERVER],
            "the push proxy": claimed[ports.PUSH_PROXY],
        }
        if aws_process.ensure_running(self._folder, aws_ports):
            self._report("AWS server: started")
        self._start_containers(base_image, made, claimed)
        aws_process.await_ready(self._folder, claimed[ports.AWS_SERVER])
        self._write_environment(claimed)
        self._remove_surplus()
        return self._folder.environment

    def _start_containers(
        self, base_image: BaseImage, made: Credentials, claimed: dict[str, int]
    ) -> None:
        names = self._engine.names
        with ThreadPoolExecutor(MAX_PARALLEL) as pool:
            starting: list[Future[None]] = []
            try:
                image = self._engine.image_id(base_image("registry"))
                spec = registry_container(names, image, claimed, made)
                starting.append(
                    pool.submit(self._start, spec, lambda: self._registry_ready(claimed))
                )
                image = self._engine.image_id(base_image("host"))
                for host in self._hosts:
                    spec = self._host(host, image, made, claimed)
                    ready = self._host_ready(spec.name, claimed[f"{host} ssh"])
                    starting.append(pool.submit(self._start, spec, ready))
                for spec in self._monitoring_containers(base_image, made, claimed):
                    ready = partial(readiness.answers_ok, spec.ports[0][1], "/-/ready")
                    starting.append(pool.submit(self._start, spec, ready))
                for started in as_completed(starting):
                    started.result()
            except BaseException:
                # Also on Ctrl-C: the threads that wait stop soon, queued starts are dropped.
                self._cancelled.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _monitoring_containers(
        self, base_image: BaseImage, made: Credentials, claimed: dict[str, int]
    ) -> tuple[ContainerSpec, ...]:
        names, config = self._engine.names, self._monitoring
        image = self._engine.image_id(base_image("prometheus"))
        alerting = self._engine.image_id(base_image("alerting"))
        return (
            prometheus_container(names, image, claimed, self._hosts, made, config),
            alertmanager_container(names, alerting, claimed, config),
            pushgateway_container(names, alerting, claimed),
        )

    def _host(
        self, host: str, image: str, made: Credentials, claimed: dict[str, int]
    ) -> ContainerSpec:
        return host_container(
            self._engine.names,
            host,
            image,
            claimed,
            ca_certificate=made.ca_certificate,
            host_key=credentials.ensure_host_key(self._folder, host),
            deploy_key=made.deploy_key,
        )

    def _start(self, spec: ContainerSpec, ready: Callable[[], bool]) -> None:
        component = spec.aliases[-1]
        if self._engine.ensure_container(spec):
            self._report(f"{component}: started")
        readiness.await_ready(
            component, ready, self._cancelled, lambda: self._engine.logs(spec.name)
        )

    def _registry_ready(self, claimed: dict[str, int]) -> bool:
        return readiness.requires_password(claimed["registry"], self._folder.path / "ca.crt")

    def _host_ready(self, container: str, ssh: int) -> Callable[[], bool]:
        version = ["docker", "version", "--format", "{{.Server.Version}}"]
        return lambda: readiness.speaks_ssh(ssh) and self._engine.run(container, version)[0] == 0

    def _write_environment(self, claimed: dict[str, int]) -> None:
        """Writes what the deploy tool reads. The environment file comes last: it marks the sandbox as complete."""
        lines = sshkeys.known_hosts(
            (
                ports.ADDRESS,
                claimed[f"{host} ssh"],
                sshkeys.public_line(credentials.ensure_host_key(self._folder, host)),
            )
            for host in self._hosts
        )
        self._folder.write("known_hosts", lines.encode())
        text = render_environment(self._folder.name, claimed, self._hosts)
        self._folder.write(state.ENVIRONMENT, text.encode())

    def _remove_surplus(self) -> None:
        names = self._engine.names
        kept = {names.container(name) for name in (*self._hosts, "registry", *MONITORING)}
        for surplus in self._engine.containers():
            if surplus not in kept:
                self._engine.remove_container(surplus)
                for volume in self._engine.volumes():
                    if volume.startswith(f"{surplus}-"):
                        self._engine.remove_volume(volume)
                self._report(f"{surplus.removeprefix(names.container(''))}: removed")


def _in_parallel(act: Callable[[str], None], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        for done in [pool.submit(act, name) for name in names]:
            done.result()
