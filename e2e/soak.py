"""Rollouts under one load, and what a run keeps: raw rows, events, a chart and a summary."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.loadgen.chart import draw, read_marks
from e2e.loadgen.generator import LoadProfile
from e2e.loadgen.process import RunningLoad, running_load
from e2e.rollouts import SERVICE, Rollouts
from e2e.ship import ShipCall

_turns = itertools.count(1)
# Two releases' replicas and the load together need more CPU than the machine has, so both releases are slow.
_IGNORE_LATENCY = 'gate = { on_slower = "continue", on_unclear = "continue" }'


@dataclass(frozen=True)
class Soak:
    """Rollouts under a load. Their events are kept in the load's folder."""

    rollouts: Rollouts
    load: RunningLoad
    images: tuple[str, str]
    """Two images of the fixture; each deploy takes the one that isn't live."""

    def new_env(self) -> dict[str, str]:
        """Returns variables that make another release, even of the same image."""
        return {"SOAK_TURN": f"{next(_turns)}-{time.time():.0f}"}

    def next_events_file(self) -> Path:
        """Returns a file for the next rollout's events. The files sort in the order of the rollouts."""
        return Path(self.load.profile.out).parent / f"events-{next(_turns):05d}.jsonl"

    def start(self, words: tuple[str, ...], env: Path) -> ShipCall:
        """Starts a command and keeps its events."""
        return self.rollouts.start(words, env, self.next_events_file())

    def next_image(self, service: str = SERVICE) -> str:
        """Returns the fixture's image that isn't live, or the image that the app runs."""
        status = self.rollouts.ship("status", service).expect_success().document["services"][0]
        others = [image for image in self.images if image != status["image"]]
        return str(others[0] if service == SERVICE else status["image"])

    def deploy(self, service: str = SERVICE) -> dict[str, object]:
        """Deploys another release, which has to go live; returns the document."""
        words = ("deploy", service, "--image", self.next_image(service), "--wait")
        env = self.rollouts.environment(
            env=self.new_env(), service=service, settings=_IGNORE_LATENCY
        )
        document = self.start(words, env).wait().expect_success().document
        assert document["outcome"] == "live"
        return dict(document)


@contextmanager
def running_soak(
    rollouts: Rollouts, profile: LoadProfile, images: tuple[str, str], **figures: float
) -> Iterator[Soak]:
    """Runs a load while the context lives, then draws its chart and writes its summary with `figures` in it.

    Raises AssertionError if a request was lost.
    """
    folder = Path(profile.out).parent
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("events-*.jsonl"):
        old.unlink()
    with running_load(profile) as load:
        load.await_rows(int(profile.rate))
        yield Soak(rollouts, load, images)
    record = load.record
    marks = read_marks(sorted(folder.glob("events-*.jsonl")))
    title = f"{len(marks)} rollouts at {profile.rate:.0f} requests per second: {record}"
    (folder / "soak.svg").write_text(draw(record, marks, title))
    interrupted = Counter(mark.unfinished.kind for mark in marks if mark.unfinished)
    summary = {
        "rollouts": len(marks),
        "broken": interrupted.total(),
        "broken_by_step": dict(sorted(interrupted.items())),
        "rate": round(profile.rate, 1),
        **figures,
        **record.summary(),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    assert not record.lost, str(record)
