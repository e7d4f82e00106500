"""No kind of step is in neither form of the proof by oversight, and what a step does is told without its details."""

from __future__ import annotations

from typing import get_args

from deploy.core.planning import steps
from e2e.deployer_faults import (
    BEFORE,
    BEFORE_IN_SOAK,
    SIMULATED,
    key_of,
    kinds_of,
)


def test_every_kind_of_step_is_ended_before_or_reasoned_away() -> None:
    every = {kind.__name__ for kind in get_args(steps.Step)}
    assert BEFORE_IN_SOAK | SIMULATED.keys() == every
    assert not BEFORE_IN_SOAK & SIMULATED.keys()
    assert BEFORE < BEFORE_IN_SOAK


def _key(line: str) -> str:
    return key_of({"line": line}, "r000007-abc")


def test_a_key_is_the_same_in_two_rollouts() -> None:
    assert _key("h: WriteRelease app r000007-abc x2 (it's new)") == "h: WriteRelease app new x2"
    assert _key("h: Prune r000001-abc r000002-abc-dirty (five are kept)") == "h: Prune old"
    assert _key("h: PullImages app@0123456789ab (not on the host)") == "h: PullImages app"
    assert _key("h: RetirePart edge 0123456789abcdef (why)") == "h: RetirePart edge"
    assert (
        _key("h: WriteSecrets app r000007-abc KEY@hmac-01234567 (why)")
        == "h: WriteSecrets app new KEY"
    )
    assert (
        _key("h: WriteTargets app r000003-abc=stable r000007-abc=candidate (why)")
        == "h: WriteTargets app old=stable new=candidate"
    )


def test_kinds_are_told_of_keys() -> None:
    assert kinds_of(["h: WriteRelease app new x2", "h: AwaitDrained"]) == {
        "WriteRelease",
        "AwaitDrained",
    }
