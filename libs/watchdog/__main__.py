"""`python3 -m watchdog`: checks the host at each engine event and every two seconds, acts, and records what it did.

It exits once the engine hasn't answered for a while. The engine then starts it again, with the socket of today.
"""

from __future__ import annotations

import fcntl
import json
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

from engine_api.client import EngineApiError, EngineClient
from watchdog.containers import Container
from watchdog.drains import Drains
from watchdog.health import Action, HealthRecord, Verb
from watchdog.record import Effect, append
from watchdog.routes import RoutesError, Served, routed_addresses, served

ROOT = Path("/srv/py-cicd")
PAUSE_FILES = ("watchdog.pause", "keeper.pause")
"""Either pauses the watchdog. Earlier versions read the second one: a pause made for them still holds."""

PROBLEM_FILE = "watchdog.problem"
"""Says why the watchdog leaves all replicas as they are, while it does; the exporter reports that it exists."""

ROUTES = Path("edge", "conf", "routes.conf")

CHECK_EVERY_S = 2.0
WAKING_EVENTS = ("die", "oom", "stop", "start", "health_status")
"""Events that may call for an action. Anything else is noticed by the next regular check."""

EVENT_DELAY_S = 0.3
"""The engine reports an event before its list of containers shows it."""

ENGINE_TIMEOUT_S = 30.0
EXIT_WITHOUT_ENGINE_AFTER_S = 8.0


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
            containers = [Container.of(listed) for listed in self._engine.deployed_containers()]
            actions = self._health.decide(self._served(containers), containers, now_s)
            for action in actions:
                self._perform(action, now_s)
            self._drains.check(self._routed(), containers)
        return actions

    def _served(self, containers: Iterable[Container]) -> dict[str, Served]:
        """Returns what serves each service; nothing while that can't be told, which leaves replicas as they are."""
        has_replicas = any("py-cicd.release" in container.labels for container in containers)
        try:
            text = self._routes()
            if has_replicas and not text:
                raise RoutesError("routes.conf is missing or empty")
            live = served(text, self._state)
        except RoutesError as error:
            self._note(str(error))
            return {}
        self._note(None)
        return live

    def _routed(self) -> frozenset[str] | None:
        """Returns the addresses of all replicas that the edge knows, None while that can't be told."""
        try:
            text = self._routes()
            return routed_addresses(text, self._state) if text else None
        except RoutesError:
            return None

    def _routes(self) -> str:
        try:
            return (self._root / ROUTES).read_text()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise RoutesError(f"routes.conf can't be read: {error}") from error

    def _state(self, name: str) -> str:
        return (self._root / "edge" / "states" / f"{name}.json").read_text()

    def _note(self, problem: str | None) -> None:
        """Writes why replicas are left as they are, or removes that once they aren't."""
        path = self._root / PROBLEM_FILE
        try:
            if problem is None:
                if path.exists():
                    path.unlink()
            elif not path.exists() or path.read_bytes() != problem.encode():
                log("replicas are left as they are", error=problem)
                path.write_bytes(problem.encode())
        except OSError as error:
            log("writing the problem failed", error=str(error))

    @contextmanager
    def _effects_shared(self) -> Iterator[None]:
        """Takes the shared lock of effects: a deploy that takes the host's lock waits until it is released."""
        with (self._root / "effects").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def _perform(self, action: Action, now_s: float) -> None:
        code, error_text = 0, ""
        try:
            match action.verb:
                case Verb.START:
                    self._engine.start(action.container.id)
                case Verb.RESTART:
                    # Waiting for its end here would keep a deploy waiting for the lock of effects.
                    grace_s = self._engine.stop_grace_s(action.container.id)
                    self._engine.signal(action.container.id)
                    self._health.restart_begun(action.container, now_s, grace_s)
                case Verb.KILL:
                    self._engine.kill(action.container.id)
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
