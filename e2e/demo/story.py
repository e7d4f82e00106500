"""The story: good and bad releases of a small service under load, and how many requests of users were lost."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from e2e.demo.screen import Screen, Style
from e2e.live_sandbox import LiveSandbox
from e2e.loadgen.generator import LoadProfile, Stream
from e2e.loadgen.process import RunningLoad, running_load
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts
from e2e.ship import ShipCall, ShipResult, until

RATE = 50.0
HEALED_WITHIN_S = 60.0
POLL_S = 0.2
_OWN_OPTIONS = re.compile(r" --env \S+ --sandbox \S+")
"""What hints add for the demo's own environment files and sandbox."""
SLOWER = 'gate = {on_slower = "rollback", min_requests = 150}'


@dataclass(frozen=True)
class Told:
    """How the story went: its length, users' requests and those lost, and the outcome of each chapter."""

    seconds: float
    requests: int = 0
    lost: int = 0
    chapters: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {**asdict(self), "seconds": round(self.seconds, 1)}


def tell(sandbox: LiveSandbox, folder: Path, screen: Screen) -> Told:
    """Tells the story on a sandbox, which is made if it is missing.

    Raises AssertionError if something does not go as told.
    """
    screen.caption("A sandbox: a host, a registry and monitoring, in containers of this machine")
    story = _Story(sandbox, screen)
    story.run(sandbox.ship.start("up", "--yes", "--no-e2e"), "ship up").expect_success()
    screen.caption(f"A service with two replicas: {SERVICE}, built and published")
    rollouts = Rollouts.on(sandbox, folder)
    first = story.release(rollouts, "goes live").expect_success().document["release"]
    streams = tuple(Stream(method.lower(), method, "/", HOST_NAME) for method in ("GET", "POST"))
    out = str(folder / "load.tsv")
    with running_load(LoadProfile(sandbox.url, out, streams, rate=RATE)) as load:
        load.await_rows(20)
        chapters = story.chapters(rollouts, load, first)
    record = load.record
    screen.caption(
        f"{len(record.rows)} requests of users in {screen.seconds:.0f} s, {len(record.lost)} lost"
    )
    return Told(screen.seconds, len(record.rows), len(record.lost), chapters)


@dataclass
class _Story:
    sandbox: LiveSandbox
    screen: Screen
    turn: int = 0

    def chapters(self, rollouts: Rollouts, load: RunningLoad, first: str) -> dict[str, str]:
        """Tells the five chapters. Returns the outcome of each."""
        screen, found = self.screen, {}
        screen.caption(f"1/5 A deploy, while users send {RATE:g} requests a second")
        second = self.release(rollouts, "deployed").expect_success().document["release"]
        found["deploy"] = self._count(load)

        screen.caption("2/5 A release that throws at its start: no user meets it")
        failed = self.release(rollouts, "reverted", {"FIXTURE_CRASH_AT_START": "1"})
        self._reverted(failed, "RuntimeError", live=second, rollouts=rollouts)
        found["throws"] = self._count(load)

        screen.caption("3/5 A release that is 60 ms slower: the gate takes it back")
        failed = self.release(rollouts, "reverted", {"FIXTURE_SLOW_MS": "60"}, SLOWER)
        self._reverted(failed, "", live=second, rollouts=rollouts)
        found["slow"] = self._count(load)

        screen.caption("4/5 A replica is killed")
        self._kill(rollouts)
        found["killed"] = self._count(load)

        screen.caption("5/5 A rollback: image, configuration and route of the release before")
        call = rollouts.ship.start("rollback", SERVICE)
        result = self.run(call, f"ship rollback {SERVICE}").expect_success()
        assert result.document["release"] == first, result.document
        found["rollback"] = self._count(load)
        return found

    def release(
        self,
        rollouts: Rollouts,
        why: str,
        env: Mapping[str, str] | None = None,
        settings: str = "",
    ) -> ShipResult:
        """Deploys a release with these variables, which is a new one in any case."""
        self.turn += 1
        file = rollouts.environment(env={"TURN": str(self.turn), **(env or {})}, settings=settings)
        words = ("deploy", SERVICE, "--image", rollouts.image)
        shown = " ".join(f"{name}={value}" for name, value in (env or {}).items())
        note = f"   # with {shown}" if shown else ""
        return self.run(rollouts.start(words, file), f"ship deploy {SERVICE}{note}")

    def run(self, call: ShipCall, shown: str) -> ShipResult:
        """Shows a command and what it prints, until it ends."""
        self.screen.show(Style.COMMAND, f"$ ./{shown}")
        position = 0
        while True:
            ended = call.process.poll() is not None
            text = call.stderr()[position:]
            complete = text if ended else text[: text.rfind("\n") + 1]
            position += len(complete)
            if complete.strip():
                self.screen.show(Style.OUTPUT, _OWN_OPTIONS.sub("", complete.rstrip("\n")))
            if ended:
                return call.wait()
            time.sleep(POLL_S)

    def _reverted(self, result: ShipResult, word: str, *, live: str, rollouts: Rollouts) -> None:
        assert result.document.get("outcome") == "reverted", result.stderr[-2000:]
        assert word in result.stderr, f"{word} isn't in the output:\n{result.stderr[-2000:]}"
        (service,) = rollouts.ship("status", SERVICE).expect_success().document["services"]
        assert service["release"] == live, service

    def _kill(self, rollouts: Rollouts) -> None:
        before = self._replicas(rollouts)
        victim = min(before)
        host = self.sandbox.host()
        self.screen.show(Style.COMMAND, f"$ kill -9 $(pid of {victim})")
        pid = host.replica_pid(victim)
        begun = time.monotonic()
        host.run("kill", "-9", pid)
        until(lambda: len(self._replicas(rollouts)) == len(before), within_s=HEALED_WITHIN_S)
        self.screen.show(
            Style.OUTPUT, f"{victim}: serves again after {time.monotonic() - begun:.1f} s"
        )

    def _replicas(self, rollouts: Rollouts) -> set[str]:
        """Returns the names of the healthy replicas."""
        (service,) = rollouts.ship("status", SERVICE).expect_success().document["services"]
        replicas = [replica for host in service["hosts"] for replica in host["replicas"]]
        return {replica["name"] for replica in replicas if replica["health"] == "healthy"}

    def _count(self, load: RunningLoad) -> str:
        rows = len(load.record.rows)
        load.await_rows(rows + int(RATE))  # one more second
        record = load.record
        text = f"users: {len(record.rows)} requests, {len(record.lost)} lost"
        self.screen.show(Style.COUNTER, text)
        return text
