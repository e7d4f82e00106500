"""Tests of what a deploy's events say about its time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.deploy_steps import DeploySteps, read_steps


def _event(at: str, event: str, **more: object) -> str:
    return json.dumps({"at": f"2026-01-01T00:00:{at}+00:00", "event": event, **more})


@pytest.fixture
def steps(tmp_path: Path) -> DeploySteps:
    """A deploy that starts at second 0, switches at 6.5 and ends at 13."""
    lines = [
        _event("03.000", "StepDone", step="AwaitHealthy", line="web-1: wait", seconds=2.0),
        _event("06.000", "StepDone", step="AnalyseRelease", line="web-1: analyse", seconds=3.0),
        _event(
            "06.500", "StepDone", step="PointTraffic", line="web-1: point (r1 is live)", seconds=0.5
        ),
        _event("06.520", "StepDone", step="VerifyOutside", line="web-1: check", seconds=0.02),
        _event("11.500", "StepDone", step="WatchRelease", line="web-1: watch", seconds=5.0),
        _event("11.500", "StepDone", step="WatchRelease", line="web-2: watch", seconds=5.0),
        _event("11.500", "Message", text="live"),
    ]
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(lines) + "\n")
    midnight = 1767225600.0
    return read_steps(file, midnight, midnight + 13.0, healthy_s=1.0)


def test_waits_that_settings_ask_for_are_told_apart(steps: DeploySteps) -> None:
    assert steps.waits_s == pytest.approx(1.0 + 3.0 + 5.0)


def test_time_before_and_after_the_switch_excludes_the_waits(steps: DeploySteps) -> None:
    assert steps.switched_s == pytest.approx(6.5)
    assert steps.before_switch_s == pytest.approx(6.5 - 1.0 - 3.0)
    assert steps.after_switch_s == pytest.approx(13.0 - 6.5 - 5.0)


def test_a_bar_has_the_step_without_its_reason(steps: DeploySteps) -> None:
    assert [(bar.name, bar.step, bar.wait) for bar in steps.bars[:3]] == [
        ("web-1: wait", "AwaitHealthy", False),
        ("web-1: analyse", "AnalyseRelease", True),
        ("web-1: point", "PointTraffic", False),
    ]
    assert steps.bars[0].begun_s == pytest.approx(1.0)
