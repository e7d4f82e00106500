"""`python3 -m watchdog`: checks the host at each engine event and every two seconds, acts, and records what it did.

It exits once the engine hasn't answered for a while. The engine then starts it again, with the socket of today.
"""

from __future__ import annotations

import fcntl
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

from engine_api.client import EngineApiError, EngineClient
from watchdog.containers import Container
from watchdog.drains import Drains
from watchdog.health import Action, HealthRecord, Verb
from watchdog.record import Effect, append

ROOT = Path("/srv/py-cicd")
PAUSE_FILES = ("watchdog.pause", "keeper.pause")
"""Either pauses the watchdog. Earlier versions read the second one: a pause made for them still holds."""

CHECK_EVERY_S = 2.0
WAKING_EVENTS = ("die", "oom", "stop", "start", "health_status")
"""Events that may call for an action. Anything else is noticed by the next regular check."""

EVENT_DELAY_S = 0.3
"""The engine reports an event before its list of containers shows it."""

ENGINE_TIMEOUT_S = 30.0
EXIT_WITHOUT_ENGINE_AFTER_S = 8.0
RESTART_GRACE_S = 5


class Watchdog:
    """The watchdog of one host. `root` is the deploy tool's folder there."""

    def __init__(self, engine: EngineClient, root: Path = ROOT) -> None:
        self._engine = engine
        self._root = root
        self._health = HealthRecord()
        self._drains = Drains(engine, root, now_s=time.time, log=log)

    def check(self, now_s: float) -> list[Action]:
        """Checks all containers once and acts. Returns the actions. Raises EngineApiError if the engine is down."""
        if any((self._root / name).exists() for name in PAUSE_FILES):
            return []
        with self._effects_shared():
            routes = self._routes()
            containers = [Container.of(listed) for listed in self._engine.deployed_containers()]
            actions = self._health.decide(routes, containers, now_s)
            for action in actions:
                self._perform(action)
            self._drains.check(routes, containers)
        return actions

    def _routes(self) -> str:
        try:
            return (self._root / "edge" / "conf" / "routes.conf").read_text()
        except OSError:
            return ""

    @contextmanager
    def _effects_shared(self) -> Iterator[None]:
        """Takes the shared lock of effects: a deploy that takes the host's lock waits until it is released."""
        with (self._root / "effects").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def _perform(self, action: Action) -> None:
        code, error_text = 0, ""
        try:
            match action.verb:
                case Verb.START:
                    self._engine.start(action.container.id)
                case Verb.RESTART:
                    self._engine.restart(action.container.id, grace_s=RESTART_GRACE_S)
                case _:
                    assert_never(action.verb)
        except EngineApiError as error:
            code, error_text = error.status or 1, str(error)
        labels, name = action.container.labels, action.container.name
        what = f"{action.verb} {name}: {action.reason}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        service, release = labels.get("py-cicd.service", ""), labels.get("py-cicd.release", "")
        log(what, container=name, code=code, error=error_text)
        try:
            append(self._root / "ledger.jsonl", Effect(now, service, release, what, code))
        except OSError as error:
            log("writing the ledger failed", error=str(error))


def log(what: str, **more: object) -> None:
    """Writes one line of JSON to the watchdog's own log."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    print(json.dumps({"time": now, "what": what, **more}), flush=True)


def wake_on_events(engine: EngineClient, wake: threading.Event) -> None:
    """Sets `wake` for each event, forever; opens the stream again whenever it ends."""
    while True:
        try:
            for _ in engine.container_events(*WAKING_EVENTS):
                wake.set()
        except EngineApiError:
            pass
        wake.set()
        time.sleep(1.0)


def run(watchdog: Watchdog, wake: threading.Event) -> int:
    """Checks forever. Returns 1 once the engine hasn't answered for `EXIT_WITHOUT_ENGINE_AFTER_S`."""
    last_answer = time.monotonic()
    while True:
        try:
            watchdog.check(time.monotonic())
            last_answer = time.monotonic()
        except (EngineApiError, OSError) as error:
            log("the check failed", error=str(error))
            if time.monotonic() - last_answer > EXIT_WITHOUT_ENGINE_AFTER_S:
                return 1
        woken = wake.wait(CHECK_EVERY_S)
        wake.clear()
        time.sleep(EVENT_DELAY_S if woken else 0.0)


if __name__ == "__main__":
    engine, wake = EngineClient(timeout_s=ENGINE_TIMEOUT_S), threading.Event()
    threading.Thread(target=wake_on_events, args=(engine, wake), daemon=True).start()
    log("watching")
    sys.exit(run(Watchdog(engine), wake))
