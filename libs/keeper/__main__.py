"""The keeper's loop: looks at every event of the engine and every few seconds, acts, writes down what it did.

It ends when the engine doesn't answer for a while: the engine starts it again, with the socket as it is then.
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

from keeper.engine import Engine, EngineError
from keeper.record import Effect, append
from keeper.watch import Act, Watch

ROOT = Path("/srv/py-cicd")
LOOK_EVERY_S = 2.0
GIVE_UP_AFTER_S = 8.0
RESTART_GRACE_S = 5


class Keeper:
    """One host's keeper. `root` is the deploy tool's folder on it."""

    def __init__(self, engine: Engine, root: Path = ROOT) -> None:
        self._engine = engine
        self._root = root
        self._watch = Watch()

    def look(self, now_s: float) -> list[Act]:
        """Looks once and does what is to be done. Raises EngineError if the engine doesn't answer."""
        if (self._root / "keeper.pause").exists():
            return []
        with self._counted():
            acts = self._watch.judge(self._routes(), self._engine.containers(), now_s)
            for act in acts:
                self._do(act)
        return acts

    def _routes(self) -> str:
        try:
            return (self._root / "edge" / "conf" / "routes.conf").read_text()
        except OSError:
            return ""

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Acts as an effect does: whoever takes the host's lock waits for what is under way."""
        with (self._root / "effects").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def _do(self, act: Act) -> None:
        code, said = 0, ""
        try:
            if act.verb == "start":
                self._engine.start(act.container.id)
            else:
                self._engine.restart(act.container.id, RESTART_GRACE_S)
        except EngineError as error:
            code, said = error.code or 1, str(error)
        labels, name = act.container.labels, act.container.name
        what = f"{act.verb} {name}: {act.because}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        service, release = labels.get("py-cicd.service", ""), labels.get("py-cicd.release", "")
        say(what, container=name, code=code, error=said)
        try:
            append(self._root / "ledger.jsonl", Effect(now, service, release, what, code))
        except OSError as error:
            say("the ledger can't be written", error=str(error))


def say(what: str, **more: object) -> None:
    """Writes one line of the keeper's own log."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    print(json.dumps({"time": now, "what": what, **more}), flush=True)


def wake_on_events(engine: Engine, wake: threading.Event) -> None:
    """Sets `wake` for each event, for ever; a stream that ends is opened again."""
    while True:
        try:
            for _ in engine.events():
                wake.set()
        except EngineError:
            pass
        wake.set()
        time.sleep(1.0)


def run(keeper: Keeper, wake: threading.Event) -> int:
    """Looks for ever; returns 1 when the engine has not answered for a while."""
    answered = time.monotonic()
    while True:
        try:
            keeper.look(time.monotonic())
            answered = time.monotonic()
        except (EngineError, OSError) as error:
            say("no look", error=str(error))
            if time.monotonic() - answered > GIVE_UP_AFTER_S:
                return 1
        # An event comes before its end can be seen; what is not settled yet is looked at again.
        woken = wake.wait(LOOK_EVERY_S)
        wake.clear()
        time.sleep(0.3 if woken else 0.0)


if __name__ == "__main__":
    engine, wake = Engine(), threading.Event()
    threading.Thread(target=wake_on_events, args=(engine, wake), daemon=True).start()
    say("keeping")
    sys.exit(run(Keeper(engine), wake))
