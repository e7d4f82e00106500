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
        ("WriteRelease", "WriteRelease app r000007-abc x2", "h: WriteRelease app new x2"),
        ("Prune", "Prune r000001-abc r000002-abc-dirty", "h: Prune old"),
        ("Prune", "remove old releases r000001-abc, r000002-abc", "h: remove old"),
        ("PullImages", "PullImages app@0123456789ab", "h: PullImages app"),
        ("StopStack", "StopStack edge 0123456789abcdef", "h: StopStack edge"),
        (
            "WriteSecrets",
            "WriteSecrets app r000007-abc KEY@hmac-01234567",
            "h: WriteSecrets app new KEY",
        ),
        (
            "WriteTargets",
            "WriteTargets app r000003-abc=stable r000007-abc=candidate",
            "h: WriteTargets app old=stable new=candidate",
        ),
    ],
)
def test_step_key_is_the_same_in_two_rollouts(kind: str, line: str, key: str) -> None:
    assert _key(kind, line) == f"{kind}: {key}"


def test_step_kinds_are_read_from_keys() -> None:
    keys = [_key("WriteRelease", "write release app r000007-abc"), _key("AwaitDrained", "drain")]
    assert step_kinds(keys) == {"WriteRelease", "AwaitDrained"}
