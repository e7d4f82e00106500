"""Both ways on one sandbox, side by side, started by `python3 -m bench`; it removes what it made."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import boto3
import docker

from bench.figures import Figures, render
from bench.index import fetch_wheels, pins, served
from bench.measure import Redeploy, first_answer, redeploy_under_load, requests_per_second
from bench.plain_way import HERE, PlainWay, lay_out
from bench.registry import Account, pushed
from deploy.adapters.base_images import read_recipe
from e2e.live_sandbox import Clone, LiveSandbox, state_folder, terminated_as_interrupt
from toolchain.paths import find_places
from toolchain.tools.all import Chain

PAGE = "services/app/templates/home.html"
BEFORE, AFTER = "One service, many replicas", "One service, many equal replicas"


def main() -> int:
    """Prints the table on stdout and what is being done on stderr."""
    with ExitStack() as leaving, terminated_as_interrupt():
        work = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stack = LiveSandbox.named("bench", work / "notes")
        leaving.callback(lambda: stack.ship("down"))
        _say("a sandbox of its own, with this project's service deployed")
        stack.ship("up", "--yes", "--no-e2e").expect_success()
        bench = _Bench(stack, work, docker.from_env(version="auto", timeout=600))
        ours = bench.ours()
        plain = bench.plain()
        print(render(ours, plain))
    return 0


@dataclass(frozen=True)
class _Bench:
    stack: LiveSandbox
    work: Path
    engine: docker.DockerClient

    @property
    def account(self) -> Account:
        told = self.stack.environment()["registry"]
        return Account(
            told["push_via"],
            "AWS",
            f"{told['account']}-auth-token",  # what moto, which plays ECR here, gives everybody
            str(state_folder(self.stack.name) / "ca.crt"),
        )

    def ours(self) -> Figures:
        """This project: `ship deploy`."""
        stack, before = self.stack, self.stack.service()["image"]
        _say("ours: start to first answer, and requests")
        local = self._pulled(before)
        first = first_answer(lambda: self.engine.containers.run(local, detach=True, init=True))
        requests = requests_per_second(stack.url)
        clone = Clone.of(stack.ship.root, self.work / "clone")
        clone.replace(PAGE, BEFORE, AFTER)
        clone.commit("Change one line")
        _say("ours: a one-line change, deployed under load")
        published = (
            stack.ship.of(clone.root)("publish", "app")
            .expect_success()
            .document["images"][0]["image"]
        )
        redeploy = redeploy_under_load(
            stack.url,
            lambda: stack.ship.of(clone.root)(
                "deploy", "app", "--image", published
            ).expect_success(),
        )
        size = pushed(self._blobs(before), self._blobs(published))
        return _figures(self._size(local), size, first, requests, redeploy)

    def plain(self) -> Figures:
        """The plain way, on the same host."""
        host = self.stack.host()
        registry = self.stack.service()["image"].partition("/")[0]
        way = PlainWay(self.engine, self.account, host, registry, host.image_of("edge"))
        sources = lay_out(self.stack.ship.root, self.work / "plain")
        lock = self.stack.ship.root / "3rdparty" / "python" / "default.lock"
        self._make_repository("plain")
        _say("plain: pip install, docker build")
        uv = Chain(find_places(os.environ)).uv
        wheels = self.work / "wheels" / "index"
        pip = fetch_wheels(
            (HERE / "requirements.txt").read_text(), pins(lock.read_text()), wheels, uv
        )
        with served(wheels) as index:
            base = self._base()
            one = way.build(sources, "one", base, index, pip)
            page = sources / "app" / "templates" / "home.html"
            page.write_text(page.read_text().replace(BEFORE, AFTER))
            two = way.build(sources, "two", base, index, pip)
        way.install()
        try:
            return self._measure_plain(way, one, two)
        finally:
            way.remove()
            for name in (one, two):
                self.engine.images.remove(name, force=True)

    def _measure_plain(self, way: PlainWay, one: str, two: str) -> Figures:
        _say("plain: start to first answer, and requests")
        first = first_answer(lambda: way.start(one))
        before = way.push(one)
        way.up("one")
        way.await_up()
        time.sleep(3)  # all five have started; this way has no health to ask for
        requests = requests_per_second(way.url)
        _say("plain: a one-line change, deployed under load")
        after = way.push(two)
        redeploy = redeploy_under_load(way.url, lambda: way.up("two"))
        return _figures(self._size(one), pushed(before, after), first, requests, redeploy)

    def _make_repository(self, name: str) -> None:
        """As `aws ecr create-repository` does; the sandbox takes any key."""
        told = self.stack.environment()["registry"]
        api = boto3.client(
            "ecr",
            endpoint_url=told["endpoint_url"],
            region_name=told["region"],
            aws_access_key_id="bench",
            aws_secret_access_key="bench",  # noqa: S106 - nobody's
        )
        api.create_repository(repositoryName=name)

    def _pulled(self, image: str) -> str:
        """The id of an image of the registry on this machine."""
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
        """The Python base that this checkout's own Dockerfile stands on."""
        return read_recipe(self.stack.ship.root / "deploy" / "base" / "python").image


def _figures(size: int, change: int, first: float, requests: float, redeploy: Redeploy) -> Figures:
    record = redeploy.record
    return Figures(
        image=size,
        pushed_after_change=change,
        first_answer=first,
        requests=requests,
        live_after=redeploy.live_after,
        redeploy=redeploy.seconds,
        sent=len(record.rows),
        lost=len(record.lost),
        p99=record.served.percentile(0.99),
    )


def _say(text: str) -> None:
    print(f"bench: {text} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
