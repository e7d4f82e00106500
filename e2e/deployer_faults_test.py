"""Every kind of step is covered by the proof of rollouts, and step keys don't depend on the rollout."""

from __future__ import annotations

from typing import get_args

import pytest

from deploy.core.planning import steps
from e2e.deployer_faults import (
    FAULT_STEPS,
    SIMULATED_STEPS,
    SOAK_FAULT_STEPS,
    step_key,
    step_kinds,
)


def test_every_kind_of_step_gets_faults_or_has_a_reason_why_not() -> None:
    every = {kind.__name__ for kind in get_args(steps.Step)}
    assert SOAK_FAULT_STEPS | SIMULATED_STEPS.keys() == every
    assert not SOAK_FAULT_STEPS & SIMULATED_STEPS.keys()
    assert FAULT_STEPS < SOAK_FAULT_STEPS


def _key(kind: str, line: str, because: str = "why (or why not)") -> str:
    event = {"step": kind, "because": because, "line": f"h: {line} ({because})"}
    return step_key(event, "r000007-abc")


@pytest.mark.parametrize(
    ("kind", "line", "key"),
    [
        (
            "WriteRelease",
            "write release app r000007-abc with 2 replicas",
            "h: write release app new with 2 replicas",
        ),
        ("Prune", "remove old release r000001-abc", "h: remove old"),
        ("Prune", "remove old releases r000001-abc r000002-abc-dirty", "h: remove old"),
        ("PullImages", "pull app@0123456789ab edge@ba9876543210", "h: pull app edge"),
        ("StopStack", "stop stack edge 0123456789abcdef", "h: stop stack edge"),
        (
            "WriteSecrets",
            "write secrets KEY@hmac-01234567 OTHER@7 of app r000007-abc",
            "h: write secrets KEY OTHER of app new",
        ),
        (
            "WriteTargets",
            "scrape app r000003-abc as stable, r000007-abc as candidate",
            "h: scrape app old as stable, new as candidate",
        ),
    ],
)
def test_step_key_is_the_same_in_two_rollouts(kind: str, line: str, key: str) -> None:
    assert _key(kind, line) == f"{kind}: {key}"


def test_key_of_a_step_without_a_reason_is_its_whole_line() -> None:
    line = "h: wait until 2 replicas are healthy"
    event = {"step": "AwaitHealthy", "because": "", "line": line}
    assert step_key(event, "r000007-abc") == f"AwaitHealthy: {line}"


def test_step_kinds_are_read_from_keys() -> None:
    keys = [
        _key("WriteRelease", "write release app r000007-abc"),
        _key("AwaitDrained", "wait for connections to drain"),
    ]
    assert step_kinds(keys) == {"WriteRelease", "AwaitDrained"}
