"""Ends a deployer at a step of its plan, in one of two ways; which steps there are, the plan says."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.relay import Relay
from e2e.ship import Call, Ended

KILL, CUT = "kill", "cut"
PROMPTLY_S = 15.0
"""How soon a deployer whose connection was reset has ended."""

BEFORE = frozenset(
    {
        *(
            "PullImages",
            "WriteRelease",
            "WriteSecrets",
            "StartPart",
            "StartReplicas",
            "AwaitHealthy",
        ),
        *("WriteTargets", "OfferCandidate", "VerifyPreview", "RunTask", "PointTraffic"),
        *("VerifyOutside", "WatchRelease", "JudgeRelease", "RecordLive", "SettleEdge"),
        *("RetirePart", "AwaitDrained", "StopReplicas"),
    }
)
"""The kinds of steps before which the short proof ends a deployer."""

BEFORE_IN_SOAK = BEFORE | {"ShareTraffic", "Prune"}
"""Those of the long proof: its deploys have a canary, and more releases than are kept."""

SIMULATED = {
    "PrepareHost": "of a host's first deploy alone, when there is nobody to lose a request of",
    "RemoveReplicas": "of a run after a kill, whose candidate has no users yet",
    "RetireReplicas": "of a smaller scale, one step after a switch like a deploy's",
    "SetMaintenance": "of maintenance, which is one step",
    "WriteHold": "of --hold, one file that no user meets",
    "DropHold": "of promote and abort, one file that no user meets",
}
"""The others, and why libs/deploy/run's simulators, which break every step of every plan, are enough for them."""

Event = Mapping[str, Any]


_PART = re.compile(r" [0-9a-f]{16}\b")
_DIGEST = re.compile(r"@\S+")
_MANY = re.compile(r"\bold( old)+\b")
_RELEASE = re.compile(r"r\d{6,}-[0-9a-z]+(-dirty)?")


def key_of(step: Event, release: str) -> str:
    """What a step does: without its cause, which is another on a rerun, and the keys of parts; the release is `new`.

    Nor which image it pulls, which version of a secret it writes and how many old releases it prunes: two rollouts
    differ in that.
    """
    what = _PART.sub("", _DIGEST.sub("", str(step["line"]).partition(" (")[0]))
    named = _RELEASE.sub(lambda found: "new" if found[0] == release else "old", what)
    return _MANY.sub("old", named)


def kinds_of(keys: Iterable[str]) -> frozenset[str]:
    """The kinds of steps, of `HOST: KIND WHAT`."""
    return frozenset(key.split()[1] for key in keys)


@dataclass
class Events:
    """The lines that a deployer appends to its events file, read as they come."""

    file: Path
    seen: list[Event] = field(default_factory=list)
    _read: int = 0

    def more(self) -> list[Event]:
        """Returns those that are new."""
        if not self.file.exists():
            return []
        with self.file.open("rb") as file:
            file.seek(self._read)
            whole = file.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._read += len(whole)
        new = [json.loads(line) for line in whole.splitlines()]
        self.seen += new
        return new

    def await_event(
        self, call: Call, wanted: Callable[[Event], bool], *, within_s: float
    ) -> Event | None:
        """Waits for an event; None if the call ended without it. Looks often: a step's edge is soon past."""
        for event in self.seen:
            if wanted(event):
                return event
        deadline = time.monotonic() + within_s
        while True:
            ended = call.process.poll() is not None
            for event in self.more():
                if wanted(event):
                    return event
            if ended:
                return None
            assert time.monotonic() < deadline, f"no such event in {within_s} s:\n{call.said()}"
            time.sleep(0.002)


@dataclass(frozen=True)
class Broken:
    """A deployer that was ended: before which step, how, and how long its end took."""

    step: str
    way: str
    seconds: float
    ended: Ended | None


@dataclass(frozen=True)
class Announced:
    """The plan that a deployer is about to carry out: its release, and the keys of its steps in order."""

    release: str
    keys: tuple[str, ...]


def plan_of(call: Call, events: Events, *, within_s: float = 300) -> Announced | None:
    """Waits for the plan; None where the deployer ended without one."""
    made = events.await_event(
        call, lambda each: each["event"] == "PlanMade" and not each["reverting"], within_s=within_s
    )
    if made is None:
        return None
    release = str(made["release"])
    return Announced(release, tuple(key_of(step, release) for step in made["steps"]))


def break_at(
    call: Call, events: Events, plan: Announced, step: str, way: str, relay: Relay
) -> Broken | None:
    """Ends the deployer when this step begins; None if it ended before."""
    begun = events.await_event(
        call,
        lambda each: each["event"] == "StepBegun" and key_of(each, plan.release) == step,
        within_s=180,
    )
    if begun is None:
        return None
    at = time.monotonic()
    if way == KILL:
        os.killpg(call.process.pid, signal.SIGKILL)
        call.process.wait(10)
        return Broken(step, way, time.monotonic() - at, None)
    relay.cut()
    ended = call.ended(within_s=PROMPTLY_S)
    return Broken(step, way, time.monotonic() - at, ended)


@dataclass
class Breaker:
    """Ends deployers before steps that none was ended before, and lets the last of each rollout end.

    `ways` take turns. The steps are those that each run announces, so a rerun's own are met too.
    """

    folder: Path
    relay: Relay
    ways: Sequence[str]
    announced: dict[str, None] = field(default_factory=dict)
    broken: dict[str, Broken] = field(default_factory=dict)
    _runs: Iterator[int] = field(default_factory=itertools.count)

    @property
    def spared(self) -> list[str]:
        """Steps of any rollout's first plan that nobody was ended before yet."""
        return [key for key in self.announced if key not in self.broken]

    def roll(self, start: Callable[[Path], Call], *, every: int = 1) -> Ended:
        """Runs a command again and again, each time ended before its first step that is new; returns its end.

        `every` of 2 spares every other step, for another kind of rollout to be ended before. It needs no patience: a
        deployer waits for what the one before left running.
        """
        self.folder.mkdir(exist_ok=True)
        mine: set[str] | None = None
        while True:
            events = Events(self.folder / f"events-{next(self._runs)}.jsonl")
            call = start(events.file)
            plan = plan_of(call, events)
            if plan is None:
                return call.ended(within_s=PROMPTLY_S)
            new = [key for key in plan.keys if key not in self.broken]
            if mine is None:
                self.announced.update(dict.fromkeys(plan.keys))
                mine = set(new[::every])
            step = next((key for key in new if key in mine), None)
            if step is None and every == 1:
                step = next(iter(new), None)
            if step is None:
                return call.ended()
            met = break_at(call, events, plan, step, self.ways[len(self.broken) % 2], self.relay)
            assert met is not None, f"{step} was announced and never begun:\n{call.said()}"
            self.broken[step] = met
