"""Compares this project with plain Docker Compose on one sandbox. `python3 -m bench` starts it."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
import docker

from bench.measure import Redeploy, first_answer, redeploy_under_load, requests_per_second
from bench.plain_compose import HERE, PlainCompose, lay_out
from bench.registry import RegistryAccount, pushed
from bench.results import Results, render
from bench.wheel_index import constraints_of, fetch_wheels, served
from deploy.adapters.base_images import read_recipe
from e2e.live_sandbox import Clone, LiveSandbox, state_folder, terminated_as_interrupt
from toolchain.paths import find_paths
from toolchain.tools.toolset import Toolset

PAGE = "services/app/templates/home.html"
BEFORE, AFTER = "One service, many replicas", "One service, many equal replicas"


def main() -> int:
    """Prints the table on stdout and progress on stderr."""
    with ExitStack() as leaving, terminated_as_interrupt():
        work = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stack = LiveSandbox.named("bench", work / "notes")
        leaving.callback(lambda: stack.ship("down"))
        _print_progress("starting a sandbox with the app deployed")
        stack.ship("up", "--yes", "--no-e2e").expect_success()
        benchmark = _Benchmark(stack, work, docker.from_env(version="auto", timeout=600))
        print(render(benchmark.measure_project(), benchmark.measure_plain()))
    return 0


@dataclass(frozen=True)
class _Benchmark:
    stack: LiveSandbox
    work: Path
    engine: docker.DockerClient

    @property
    def account(self) -> RegistryAccount:
        registry = self.stack.environment()["registry"]
        return RegistryAccount(
            registry["push_via"],
            "AWS",
            f"{registry['account']}-auth-token",  # the fixed token of moto, the sandbox's ECR
            str(state_folder(self.stack.name) / "ca.crt"),
        )

    def measure_project(self) -> Results:
        """Returns the results of `ship deploy`."""
        stack, before = self.stack, self.stack.service()["image"]
        _print_progress("this project: start to first answer, requests a second")
        local = self._pulled(before)
        first = first_answer(lambda: self.engine.containers.run(local, detach=True, init=True))
        requests = requests_per_second(stack.url)
        clone = Clone.of(stack.ship.root, self.work / "clone")
        clone.replace(PAGE, BEFORE, AFTER)
        clone.commit("Change one line")
        _print_progress("this project: deploying a one-line change under load")
        published = (
            stack.ship.of(clone.root)("publish", "app")
            .expect_success()
            .document["images"][0]["image"]
        )
        ship = replace(stack.ship.of(clone.root), waits_drained=False)
        redeploy = redeploy_under_load(
            stack.url,
            lambda: ship("deploy", "app", "--image", published).expect_success(),
            lambda: not stack.service()["draining"],
        )
        size = pushed(self._blobs(before), self._blobs(published))
        return _results(self._size(local), size, first, requests, redeploy)

    def measure_plain(self) -> Results:
        """Returns the results of plain Compose on a host of the same sandbox."""
        host = self.stack.host()
        registry = self.stack.service()["image"].partition("/")[0]
        compose = PlainCompose(self.engine, self.account, host, registry, host.image_of("edge"))
        sources = lay_out(self.stack.ship.root, self.work / "plain")
        lock = self.stack.ship.root / "3rdparty" / "python" / "default.lock"
        self._make_repository("plain")
        _print_progress("plain Compose: pip install, docker build")
        uv = Toolset(find_paths(os.environ)).uv
        wheels = self.work / "wheels" / "index"
        pip = fetch_wheels(
            (HERE / "requirements.txt").read_text(), constraints_of(lock.read_text()), wheels, uv
        )
        with served(wheels) as index:
            base = self._base()
            one = compose.build(sources, "one", base, index, pip)
            page = sources / "app" / "templates" / "home.html"
            page.write_text(page.read_text().replace(BEFORE, AFTER))
            two = compose.build(sources, "two", base, index, pip)
        compose.install()
        try:
            return self._measure_installed(compose, one, two)
        finally:
            compose.remove()
            for name in (one, two):
                self.engine.images.remove(name, force=True)

    def _measure_installed(self, compose: PlainCompose, one: str, two: str) -> Results:
        _print_progress("plain Compose: start to first answer, requests a second")
        first = first_answer(lambda: compose.start(one))
        before = compose.push(one)
        compose.up("one")
        compose.await_up()
        time.sleep(3)  # time for all five to start: they have no health check to wait for
        requests = requests_per_second(compose.url)
        _print_progress("plain Compose: deploying a one-line change under load")
        after = compose.push(two)
        redeploy = redeploy_under_load(compose.url, lambda: compose.up("two"))
        return _results(self._size(one), pushed(before, after), first, requests, redeploy)

    def _make_repository(self, name: str) -> None:
        """Creates a repository in the sandbox's ECR, which accepts any key."""
        registry = self.stack.environment()["registry"]
        api = boto3.client(
            "ecr",
            endpoint_url=registry["endpoint_url"],
            region_name=registry["region"],
            aws_access_key_id="bench",
            aws_secret_access_key="bench",  # noqa: S106 - not a secret
        )
        api.create_repository(repositoryName=name)

    def _pulled(self, image: str) -> str:
        """Pulls an image of the registry to this machine. Returns its id."""
        repository, _, digest = image.partition("/")[2].partition("@")
        name = f"{self.account.address}/{repository}"
        login = {"username": self.account.user, "password": self.account.password}
        return str(self.engine.images.pull(f"{name}@{digest}", auth_config=login).id)

    def _blobs(self, image: str) -> dict[str, int]:
        repository, _, digest = image.partition("/")[2].partition("@")
        return self.account.blobs(repository, digest)

    def _size(self, image: str) -> int:
        return int(self.engine.images.get(image).attrs["Size"])

    def _base(self) -> str:
        """Returns the base image of the app's own Dockerfile."""
        return read_recipe(self.stack.ship.root / "deploy" / "base" / "python").image


def _results(size: int, change: int, first: float, requests: float, redeploy: Redeploy) -> Results:
    record = redeploy.record
    return Results(
        image=size,
        pushed_after_change=change,
        first_answer_s=first,
        requests_per_s=requests,
        live_after_s=redeploy.live_after_s,
        redeploy_s=redeploy.seconds,
        sent=len(record.rows),
        lost=len(record.lost),
        p99_s=record.served.percentile(0.99),
    )


def _print_progress(text: str) -> None:
    print(f"bench: {text} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
