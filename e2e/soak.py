"""One load, the rollouts under it, and what is kept of both: raw rows, events, a picture and a summary."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.loadgen.chart import draw, marks_of
from e2e.loadgen.generator import Plan
from e2e.loadgen.process import Running, running
from e2e.rollouts import SERVICE, Rollouts
from e2e.ship import Call

_turns = itertools.count(1)
# Two releases' replicas and the load are more than the machine has: whether one is slower is not asked of either.
_NOT_SLOWER = 'gate = { on_slower = "continue", on_unclear = "continue" }'


@dataclass(frozen=True)
class Soak:
    """Rollouts under a load, their events in the load's folder."""

    rollouts: Rollouts
    load: Running
    images: tuple[str, str]
    """Of the fixture; a deploy takes the one that isn't live."""

    def told(self) -> dict[str, str]:
        """An environment that makes another release, whatever its image."""
        return {"SOAK_TURN": f"{next(_turns)}-{time.time():.0f}"}

    def events(self) -> Path:
        """A file for the next rollout's events, in the order of the rollouts."""
        return Path(self.load.plan.out).parent / f"events-{next(_turns):05d}.jsonl"

    def start(self, words: tuple[str, ...], env: Path) -> Call:
        """Starts a verb whose events are kept."""
        return self.rollouts.start(words, env, self.events())

    def next_image(self, service: str = SERVICE) -> str:
        """The fixture's other image, or the one that the app has."""
        told = self.rollouts.ship("status", service).must().document["services"][0]
        ours = [image for image in self.images if image != told["image"]]
        return str(ours[0] if service == SERVICE else told["image"])

    def deploy(self, service: str = SERVICE) -> dict[str, object]:
        """Deploys another release, which has to go live."""
        words = ("deploy", service, "--image", self.next_image(service), "--wait")
        env = self.rollouts.environment(env=self.told(), service=service, settings=_NOT_SLOWER)
        done = self.start(words, env).ended().must().document
        assert done["outcome"] == "live"
        return dict(done)


@contextmanager
def soaking(
    rollouts: Rollouts, plan: Plan, images: tuple[str, str], **figures: float
) -> Iterator[Soak]:
    """Keeps a load up for as long as the context lives, then draws it and writes its summary, `figures` in it.

    Raises AssertionError where a request was lost.
    """
    folder = Path(plan.out).parent
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("events-*.jsonl"):
        old.unlink()
    with running(plan) as load:
        load.await_rows(int(plan.rate))
        yield Soak(rollouts, load, images)
    record = load.record
    marks = marks_of(sorted(folder.glob("events-*.jsonl")))
    title = f"{len(marks)} rollouts at {plan.rate:.0f} requests a second: {record}"
    (folder / "soak.svg").write_text(draw(record, marks, title))
    broken = Counter(mark.broken.split()[1] for mark in marks if mark.broken)
    summary = {
        "rollouts": len(marks),
        "broken": broken.total(),
        "broken_by_step": dict(sorted(broken.items())),
        "rate": round(plan.rate, 1),
        **figures,
        **record.summary(),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    assert not record.lost, str(record)
