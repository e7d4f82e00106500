"""Measures this project: its commands, its rollouts under load, its image, its replicas and hosts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import docker

from bench.deploy_steps import DeploySteps, read_steps
from bench.idle import idle_usage, mean_of
from bench.measure import (
    MONITOR,
    Redeploy,
    first_answer,
    half_load,
    median_seconds,
    redeploy_under_load,
    seconds_of,
    throughput,
)
from bench.measurements import Measurements
from bench.registry import RegistryAccount, pushed
from bench.results import Bar
from e2e.live_sandbox import Clone, LiveSandbox
from e2e.ship import until

PAGE = "services/app/templates/home.html"
LINE = "One service, many replicas"
IDLE_S = 40.0
SCRAPE_S = 15
SETTLE_S = 15.0
"""How long a deploy's last effects may take, such as Prometheus' start."""

MIN_HEALTHY_S = 1.0
"""`min_healthy_s` in services/app/service.toml."""

QUIET_S = 6.0
"""How long the load runs before the deploy whose p99 is compared with it."""


@dataclass
class ProjectWay:
    """This project on a sandbox with the app deployed. `bars` are the steps of its deploy under load."""

    sandbox: LiveSandbox
    account: RegistryAccount
    engine: docker.DockerClient
    work: Path
    bars: Sequence[Bar] = ()
    _images: list[str] = field(default_factory=list)
    _line: str = LINE

    @contextmanager
    def using_clone(self) -> Iterator[None]:
        """Clones the checkout, to change it. Stops the clone's Pants daemon at the end."""
        self._clone = Clone.of(self.sandbox.ship.root, self.work / "clone")
        # Commands as a person's: they end while replaced replicas still drain.
        self._tool = replace(self.sandbox.ship, waits_drained=False)
        self._ship = replace(self._tool, root=self._clone.root)
        try:
            yield
        finally:
            for file in self._clone.root.glob(".pids/*/pantsd/pid"):
                os.kill(int(file.read_text()), signal.SIGTERM)

    def measure(self, to: Measurements) -> None:
        """Takes all measurements."""
        self._images = [self.sandbox.service()["image"]]
        to.take("commands", self._commands)
        to.take("a replica's start", self._start)
        to.take("warming the clone's caches", self._warm)
        to.take("a one-line change", self._change)
        to.take("the image", self._image)
        to.take("deploy under load", self._deploy)
        to.take("rollback under load", self._rollback)
        to.take("deploy at half load", self._deploy_at_half_load)
        to.take("requests a second", self._requests)
        to.take("idle", self._idle)

    def _commands(self) -> Mapping[str, float]:
        ship = self.sandbox.ship
        help_of = [str(ship.root / "ship"), "--help"]
        return {
            "help_s": median_seconds(
                lambda: subprocess.run(help_of, check=True, stdout=subprocess.DEVNULL)
            ),
            "status_s": median_seconds(lambda: ship("status", "app").expect_success()),
        }

    def _start(self) -> Mapping[str, float]:
        image = self._pulled(self._images[0])
        return {
            "first_answer_s": first_answer(
                lambda: self.engine.containers.run(image, detach=True, init=True)
            )
        }

    def _warm(self) -> Mapping[str, float]:
        """Starts the clone's Pants daemon, and measures `ship affected` once that runs."""
        self._change_line()
        self._test()
        self._change_line()
        affected = ("affected", "--base", "HEAD~1")
        return {"affected_s": seconds_of(lambda: self._ship(*affected).expect_success())}

    def _change(self) -> Mapping[str, float]:
        """Measures a change of one line from the edited file to all users, then a deploy without a change."""
        self._change_line()
        tested = seconds_of(self._test)
        built = seconds_of(self._publish)
        live = self._seconds_until_switched(self._images[-1])
        unchanged = seconds_of(lambda: self._deploy_image(self._images[-1]))
        return {
            "change_test_s": tested,
            "change_build_s": built,
            "change_live_s": tested + built + live,
            "unchanged_s": unchanged,
        }

    def _image(self) -> Mapping[str, float]:
        before, after = (self._blobs(image) for image in (self._images[0], self._images[-1]))
        local = self._pulled(self._images[-1])
        return {
            "image_bytes": float(self.engine.images.get(local).attrs["Size"]),
            "image_gzip_bytes": float(sum(after.values())),
            "layers": len(after) - 1,
            "pushed_change_bytes": float(pushed(before, after)),
        }

    def _deploy(self) -> Mapping[str, float]:
        redeploy, steps = self._timed_deploy(self._images[0])
        self.bars = steps.bars
        return {
            "deploy_before_switch_s": steps.before_switch_s,
            "deploy_after_switch_s": steps.after_switch_s,
            "deploy_waits_s": steps.waits_s,
            "redeploy_s": redeploy.seconds,
            "live_after_s": redeploy.live_after_s,
            "lost": redeploy.lost_percent,
        }

    def _rollback(self) -> Mapping[str, float]:
        redeploy = redeploy_under_load(
            self.sandbox.url,
            lambda: self._tool("rollback", "app").expect_success(),
            is_over=self._has_drained,
        )
        return {"rollback_live_s": redeploy.live_after_s, "rollback_s": redeploy.seconds}

    def _deploy_at_half_load(self) -> Mapping[str, float]:
        rate = half_load(self.sandbox.url)
        redeploy, _ = self._timed_deploy(self._images[0], rate=rate, quiet_s=QUIET_S)
        return {"p99_quiet_s": redeploy.p99_quiet_s, "p99_switch_s": redeploy.p99_s}

    def _requests(self) -> Mapping[str, float]:
        home = throughput(self.sandbox.url, "/")
        monitor = throughput(self.sandbox.url, MONITOR, self.sandbox.host())
        return {
            "home_per_s": home.per_s,
            "monitor_per_s": monitor.per_s,
            "nginx_us": monitor.cpu_us("edge"),
            "replica_us": monitor.cpu_us("app-"),
        }

    def _idle(self) -> Mapping[str, float]:
        """Measures with production's scrape interval, since a sandbox scrapes more often."""
        interval = self.sandbox.environment()["metrics"]["interval_s"]
        changed = (f"\ninterval_s = {interval}\n", f"\ninterval_s = {SCRAPE_S}\n")
        env = self.sandbox.variant(self.work / "slow", interval=changed)
        self.sandbox.ship("deploy", "app", "--image", self._images[-1], env=env).expect_success()
        time.sleep(SETTLE_S)
        used, host_cpu = idle_usage(self.sandbox.host(), seconds=IDLE_S)
        replica = mean_of(used, "app-")
        stacks = [usage for name, usage in used.items() if not name.startswith("app-")]
        return {
            "replica_memory_bytes": replica.memory,
            "replica_cpu": replica.cpu,
            "stacks_memory_bytes": sum(usage.memory for usage in stacks),
            "stacks_cpu": sum(usage.cpu for usage in stacks),
            "host_cpu": host_cpu,
        }

    def _timed_deploy(
        self, image: str, *, rate: float = 50.0, quiet_s: float = 1.0
    ) -> tuple[Redeploy, DeploySteps]:
        until(self._has_drained, within_s=90)  # else the deploy would first take back what drains
        events = self.work / f"events-{time.monotonic_ns()}.jsonl"
        words = ("deploy", "app", "--image", image, "--events", str(events))
        redeploy = redeploy_under_load(
            self.sandbox.url,
            lambda: self._tool(*words).expect_success(),
            rate=rate,
            quiet_s=quiet_s,
            is_over=self._has_drained,
        )
        ended = redeploy.begun + redeploy.seconds
        return redeploy, read_steps(events, redeploy.begun, ended, healthy_s=MIN_HEALTHY_S)

    def _has_drained(self) -> bool:
        return not self.sandbox.service()["draining"]

    def _change_line(self) -> None:
        new = f"{LINE}, changed at {time.monotonic_ns()}"
        self._clone.replace(PAGE, self._line, new)
        self._line = new
        self._clone.commit("Change one line")

    def _test(self) -> None:
        words = ("test", "--changed-since", "HEAD~1", "--no-integration", "--yes")
        command = [str(self._clone.root / "ship"), *words]
        done = subprocess.run(
            command, cwd=self._clone.root, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"ship test: {(done.stdout + done.stderr)[-1500:]}")

    def _publish(self) -> None:
        document = self._ship("publish", "app").expect_success().document
        self._images.append(str(document["images"][0]["image"]))

    def _seconds_until_switched(self, image: str) -> float:
        """Deploys an image. Returns the seconds until all users reach it; the command then still watches it."""
        events, begun = self.work / "change.jsonl", time.time()
        words = ("deploy", "app", "--image", image, "--events", str(events))
        self._ship(*words).expect_success()
        return read_steps(events, begun, time.time(), MIN_HEALTHY_S).switched_s

    def _deploy_image(self, image: str) -> None:
        self._ship("deploy", "app", "--image", image).expect_success()

    def _pulled(self, image: str) -> str:
        """Pulls an image of the registry to this machine. Returns its id."""
        repository, _, digest = image.partition("/")[2].partition("@")
        name = f"{self.account.address}/{repository}"
        login = {"username": self.account.user, "password": self.account.password}
        return str(self.engine.images.pull(f"{name}@{digest}", auth_config=login).id)

    def _blobs(self, image: str) -> dict[str, int]:
        repository, _, digest = image.partition("/")[2].partition("@")
        return self.account.blobs(repository, digest)
