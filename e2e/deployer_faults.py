"""Kills a deployer, or cuts its connections, when a chosen step of its plan begins."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, assert_never

from e2e.relay import Relay
from e2e.ship import ShipCall, ShipResult


class Fault(Enum):
    """What happens to a deployer: its processes are killed, or its SSH connections are reset."""

    KILL = "kill"
    CUT = "cut"


EXITS_WITHIN_S = 15.0
"""How soon a deployer exits after its connection was reset."""

FAULT_STEPS = frozenset(
    {
        *(
            "PullImages",
            "WriteRelease",
            "WriteSecrets",
            "StartStack",
            "StartReplicas",
            "AwaitHealthy",
        ),
        *("WriteTargets", "OfferCandidate", "VerifyPreview", "RunTask", "PointTraffic"),
        *("VerifyOutside", "WatchRelease", "AnalyseRelease", "RecordLive", "SettleEdge"),
        *("StopStack", "BeginDraining"),
    }
)
"""The kinds of steps at which the short proof injects faults."""

SOAK_FAULT_STEPS = FAULT_STEPS | {"ShareTraffic", "Prune"}
"""Those of the soak, whose deploys have a canary, and which makes more releases than a host keeps."""

SIMULATED_STEPS = {
    "PrepareHost": "only in a host's first deploy, when there are no users whose requests could be lost",
    "RemoveStack": "only in the first deploy after the watchdog replaced the keeper; no user's request passes either",
    "ReplaceUnhealthy": "only in a run after a kill, whose candidate has no users yet",
    "KeepLogs": "only before replicas are stopped that failed or that a rollback replaced; users have left them",
    "AwaitDrained": "only where no watchdog finishes drains, and in a revert; docs/adr/0034",
    "StopRelease": "as AwaitDrained",
    "EndDraining": "only in a rollback to a release that drains, before any user is sent to it",
    "ScaleDown": "only in a change to a smaller scale, one step after a switch like a deploy's",
    "SetMaintenance": "only in maintenance, which is one step",
    "WriteHold": "only with --hold; writes one file that users don't notice",
    "DropHold": "only in promote and abort; removes one file that users don't notice",
}
"""The other kinds of steps, and why the tests of libs/deploy/run, which fail every step of every plan on simulated
hosts, are enough for them."""

Event = Mapping[str, Any]


_STACK_KEY = re.compile(r" [0-9a-f]{16}\b")
_DIGEST = re.compile(r"@\S+")
_SEVERAL_OLD = re.compile(r"\bold(,? (and )?(releases? )?old)+\b")
_RELEASE = re.compile(r"r\d{6,}-[0-9a-z]+(-dirty)?")


def step_key(step: Event, release: str) -> str:
    """Returns `KIND: LINE` of a step, in a form that is the same in every rollout.

    The line loses what differs between rollouts: the reason, digests, keys of stacks, versions of secrets, and how many
    old releases are pruned. `release` becomes "new" in it, every other release "old".
    """
    line = str(step["line"]).removesuffix(f" ({step['because']})")
    line = _STACK_KEY.sub("", _DIGEST.sub("", line))
    line = _RELEASE.sub(lambda found: "new" if found[0] == release else "old", line)
    return f"{step['step']}: {_SEVERAL_OLD.sub('old', line)}"


def step_kinds(keys: Iterable[str]) -> frozenset[str]:
    """Returns the kinds of the steps with these keys."""
    return frozenset(key.partition(":")[0] for key in keys)


@dataclass
class EventLog:
    """Reads the file that a deployer appends its events to, while it grows."""

    file: Path
    events: list[Event] = field(default_factory=list)
    _offset: int = 0

    def read_new(self) -> list[Event]:
        """Returns the events that were written since the last call."""
        if not self.file.exists():
            return []
        with self.file.open("rb") as file:
            file.seek(self._offset)
            whole = file.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._offset += len(whole)
        new = [json.loads(line) for line in whole.splitlines()]
        self.events += new
        return new

    def await_event(
        self, call: ShipCall, matches: Callable[[Event], bool], *, within_s: float
    ) -> Event | None:
        """Waits for an event that matches. Returns None if the command ended without one.

        Polls every 2 ms, since a fault has to hit the deployer right at the begin of a step.
        """
        for event in self.events:
            if matches(event):
                return event
        deadline = time.monotonic() + within_s
        while True:
            ended = call.process.poll() is not None
            for event in self.read_new():
                if matches(event):
                    return event
            if ended:
                return None
            assert time.monotonic() < deadline, f"no such event in {within_s} s:\n{call.stderr()}"
            time.sleep(0.002)

    def await_step_done(self, call: ShipCall, kind: str, *, within_s: float) -> None:
        """Waits until a step of this kind is done. Raises AssertionError if the command ended without it."""
        done = self.await_event(
            call,
            lambda event: (event["event"], event.get("step")) == ("StepDone", kind),
            within_s=within_s,
        )
        assert done is not None, call.stderr()


@dataclass(frozen=True)
class InjectedFault:
    """A fault that hit a deployer: at which step, how long the deployer took to exit, and its result.

    `result` is None after a kill.
    """

    step: str
    fault: Fault
    seconds: float
    result: ShipResult | None


@dataclass(frozen=True)
class AnnouncedPlan:
    """The plan that a deployer is about to execute: its release, and the keys of its steps in order."""

    release: str
    keys: tuple[str, ...]


def await_plan(call: ShipCall, events: EventLog, *, within_s: float = 300) -> AnnouncedPlan | None:
    """Waits for the deployer's plan. Returns None if the deployer ended without one."""
    made = events.await_event(
        call,
        lambda event: event["event"] == "PlanMade" and not event["reverting"],
        within_s=within_s,
    )
    if made is None:
        return None
    release = str(made["release"])
    return AnnouncedPlan(release, tuple(step_key(step, release) for step in made["steps"]))


def inject_fault(
    call: ShipCall, events: EventLog, plan: AnnouncedPlan, step: str, fault: Fault, relay: Relay
) -> InjectedFault | None:
    """Injects a fault when this step begins. Returns None if the deployer ended before the step."""
    begun = events.await_event(
        call,
        lambda event: event["event"] == "StepBegun" and step_key(event, plan.release) == step,
        within_s=180,
    )
    if begun is None:
        return None
    at = time.monotonic()
    match fault:
        case Fault.KILL:
            os.killpg(call.process.pid, signal.SIGKILL)
            call.process.wait(10)
            result = None
        case Fault.CUT:
            relay.cut()
            result = call.wait(within_s=EXITS_WITHIN_S)
        case _ as unreachable:
            assert_never(unreachable)
    return InjectedFault(step, fault, time.monotonic() - at, result)


@dataclass
class FaultInjector:
    """Injects one fault at every kind of step, over several rollouts.

    `faults` take turns. `announced` are the steps of every rollout's first plan, `injected` those that had a fault. The
    steps come from the plan that each run announces, so the steps of a rerun get faults as well.
    """

    folder: Path
    relay: Relay
    faults: Sequence[Fault]
    announced: dict[str, None] = field(default_factory=dict)
    injected: dict[str, InjectedFault] = field(default_factory=dict)
    _runs: Iterator[int] = field(default_factory=itertools.count)

    @property
    def missing(self) -> list[str]:
        """The steps of first plans that had no fault yet."""
        return [key for key in self.announced if key not in self.injected]

    def run_until_done(self, start: Callable[[Path], ShipCall], *, every: int = 1) -> ShipResult:
        """Runs a command again and again, each time with a fault at the first step that had none; returns its result.

        The last run has no fault. With `every=2`, every other step is left for a later rollout. Runs follow each other
        at once: a deployer waits for what the one before left running.
        """
        self.folder.mkdir(exist_ok=True)
        selected: set[str] | None = None
        while True:
            events = EventLog(self.folder / f"events-{next(self._runs)}.jsonl")
            call = start(events.file)
            plan = await_plan(call, events)
            if plan is None:
                return call.wait(within_s=EXITS_WITHIN_S)
            new = [key for key in plan.keys if key not in self.injected]
            if selected is None:
                self.announced.update(dict.fromkeys(plan.keys))
                selected = set(new[::every])
            step = next((key for key in new if key in selected), None)
            if step is None and every == 1:
                step = next(iter(new), None)
            if step is None:
                return call.wait()
            fault = self.faults[len(self.injected) % len(self.faults)]
            injected = inject_fault(call, events, plan, step, fault, self.relay)
            assert injected is not None, f"{step} was announced and did not begin:\n{call.stderr()}"
            self.injected[step] = injected
