"""Measures plain Docker Compose on a host of the same sandbox, with the same app and base."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import docker

from bench.idle import idle_usage, mean_of
from bench.measure import (
    MONITOR,
    first_answer,
    half_load,
    redeploy_under_load,
    seconds_of,
    throughput,
)
from bench.measurements import Measurements
from bench.plain_compose import HERE, PlainCompose, lay_out
from bench.project_way import IDLE_S, LINE, QUIET_S
from bench.registry import RegistryAccount, pushed
from bench.wheel_index import constraints_of, fetch_wheels, served
from deploy.adapters.base_images import read_recipe
from e2e.live_sandbox import LiveSandbox
from toolchain.paths import find_paths
from toolchain.tools.toolset import Toolset


@dataclass
class PlainWay:
    """Plain Compose: docker build with pip, docker push, docker compose up."""

    sandbox: LiveSandbox
    account: RegistryAccount
    engine: docker.DockerClient
    work: Path

    def measure(self, to: Measurements) -> None:
        """Takes all measurements, then removes what they made."""
        with ExitStack() as leaving:
            try:
                leaving.enter_context(self._installed())
            except Exception as error:  # noqa: BLE001 - this project's figures are worth printing alone
                to.failed["plain Compose"] = str(error)[:500]
                return
            to.take("a replica's start", self._start)
            to.take("a one-line change", self._change)
            to.take("deploy under load", self._deploy)
            to.take("deploy at half load", self._deploy_at_half_load)
            to.take("requests a second", self._requests)
            to.take("idle", self._idle)

    @contextmanager
    def _installed(self) -> Iterator[None]:
        """Builds and pushes the first image and starts five replicas of it."""
        host = self.sandbox.host()
        registry = self.sandbox.service()["image"].partition("/")[0]
        self._compose = PlainCompose(
            self.engine, self.account, host, registry, host.image_of("edge")
        )
        self._sources = lay_out(self.sandbox.ship.root, self.work / "plain")
        lock = self.sandbox.ship.root / "3rdparty" / "python" / "default.lock"
        self._make_repository("plain")
        wheels = self.work / "wheels" / "index"
        uv = Toolset(find_paths(os.environ)).uv
        requirements = (HERE / "requirements.txt").read_text()
        self._pip = fetch_wheels(requirements, constraints_of(lock.read_text()), wheels, uv)
        # The base image of the app's own Dockerfile.
        self._base = read_recipe(self.sandbox.ship.root / "deploy" / "base" / "python").image
        self._built: list[str] = []
        with served(wheels) as self._index:
            try:
                self._build("one")
                self._blobs = [self._compose.push(self._built[-1])]
                self._compose.install()
                self._compose.up("one")
                self._compose.await_up()
                yield
            finally:
                self._compose.remove()
                for name in self._built:
                    self.engine.images.remove(name, force=True)

    def _start(self) -> Mapping[str, float]:
        return {"first_answer_s": first_answer(lambda: self._compose.start(self._built[0]))}

    def _change(self) -> Mapping[str, float]:
        page = self._sources / "app" / "templates" / "home.html"
        page.write_text(page.read_text().replace(LINE, f"{LINE}, changed"))
        built = seconds_of(self._build_and_push)
        live = seconds_of(lambda: self._compose.up("two"))
        before, after = self._blobs
        return {
            "change_build_s": built,
            "change_live_s": built + live,
            "image_bytes": float(self.engine.images.get(self._built[-1]).attrs["Size"]),
            "image_gzip_bytes": float(sum(after.values())),
            "layers": len(after) - 1,
            "pushed_change_bytes": float(pushed(before, after)),
        }

    def _build_and_push(self) -> None:
        self._build("two")
        self._blobs.append(self._compose.push(self._built[-1]))

    def _deploy(self) -> Mapping[str, float]:
        self._await_all()
        redeploy = redeploy_under_load(self._compose.url, lambda: self._compose.up("one"))
        return {
            "redeploy_s": redeploy.seconds,
            "live_after_s": redeploy.live_after_s,
            "lost": redeploy.lost_percent,
        }

    def _deploy_at_half_load(self) -> Mapping[str, float]:
        self._await_all()
        rate = half_load(self._compose.url)
        redeploy = redeploy_under_load(
            self._compose.url, lambda: self._compose.up("two"), rate=rate, quiet_s=QUIET_S
        )
        return {"p99_quiet_s": redeploy.p99_quiet_s, "p99_switch_s": redeploy.p99_s}

    def _requests(self) -> Mapping[str, float]:
        self._await_all()
        home = throughput(self._compose.url, "/")
        monitor = throughput(self._compose.url, MONITOR, self._compose.host)
        return {
            "home_per_s": home.per_s,
            "monitor_per_s": monitor.per_s,
            "nginx_us": monitor.cpu_us("plain-nginx"),
            "replica_us": monitor.cpu_us("plain-app-"),
        }

    def _idle(self) -> Mapping[str, float]:
        used, _ = idle_usage(self._compose.host, seconds=IDLE_S / 2)
        replica = mean_of(used, "plain-app-")
        return {"replica_memory_bytes": replica.memory, "replica_cpu": replica.cpu}

    def _build(self, tag: str) -> None:
        self._built.append(
            self._compose.build(self._sources, tag, self._base, self._index, self._pip)
        )

    def _await_all(self) -> None:
        """Gives all five replicas time to start: they have no health check to wait for."""
        self._compose.await_up()
        time.sleep(3)

    def _make_repository(self, name: str) -> None:
        """Creates a repository in the sandbox's ECR, which accepts any key."""
        registry = self.sandbox.environment()["registry"]
        api = boto3.client(
            "ecr",
            endpoint_url=registry["endpoint_url"],
            region_name=registry["region"],
            aws_access_key_id="bench",
            aws_secret_access_key="bench",  # noqa: S106 - not a secret
        )
        api.create_repository(repositoryName=name)
