"""Deploys with the release gate to simulated hosts: what users reach, how they end, what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from deploy.core.analysis.verdict import parse_verdict
from deploy.core.commands import locks, paths
from deploy.core.config import Condition, Gate
from deploy.core.reports.rollout_log import parse_rollout_log
from deploy.core.state.ledger import parse_ledger
from deploy.run.rollout.deploy import (
    Result,
    RevertedError,
    StuckError,
    deploy,
)
from deploy.run.rollout.events import (
    Event,
    Message,
    StepDone,
)
from deploy.run.rollout.rollout_fixture import ONE, TWO, context, deploy_command
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import MemoryHost
from deploy.testing.servers.prometheus import MemoryMetrics

FAILS = ContainerBehaviour(fails_every=20)
SLOW = ContainerBehaviour(answers_in_s=0.08)


class Scene:
    """Hosts that serve release one, with an edge that logs requests."""

    def __init__(self, *names: str) -> None:
        self.fleet = Fleet.of(*(names or ("host-1",)))
        self.events: list[Event] = []
        self.metrics = MemoryMetrics()
        self.go("one")
        self.fleet.must_serve.update(host.name for host in self.fleet.hosts)
        self.events.clear()

    def go(
        self,
        label: str,
        gate: Gate | None = None,
        *,
        canary: int = 0,
        bad: ContainerBehaviour | None = None,
        color: str = "",
    ) -> Result:
        command = deploy_command(self.fleet, label, factories.service(color=color))
        service = replace(command.service, gate=gate or Gate())
        if bad is not None:
            for host in self.fleet.hosts:
                host.engine.behaviours[command.image] = bad
        command = replace(command, service=service, canary=canary)
        where = replace(context(self.fleet), metrics=self.metrics)
        try:
            return deploy(command, where, self.events.append)
        finally:
            assert self.fleet.violations == []

    def refused(
        self,
        gate: Gate | None = None,
        *,
        bad: ContainerBehaviour,
        canary: int = 0,
        color: str = "",
    ) -> RevertedError:
        with pytest.raises(RevertedError) as caught:
            self.go("two", gate, bad=bad, canary=canary, color=color)
        return caught.value

    @property
    def steps(self) -> list[str]:
        return [type(event.step).__name__ for event in self.events if isinstance(event, StepDone)]

    @property
    def messages(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Message))


def verdicts(host: MemoryHost) -> list[tuple[str, str, str]]:
    """Returns the (release, stage, outcome) of each verdict in a host's ledger."""
    entries = parse_ledger(host.files[locks.LEDGER].decode())
    found = [(e.release, parse_verdict(e.what)) for e in entries if e.event == "judged"]
    return [(release, stage, verdict.outcome) for release, (stage, verdict) in found]


def test_healthy_release_passes_both_analyses_and_goes_live() -> None:
    scene = Scene("host-1", "host-2")
    assert scene.go("two").outcome == "live"
    assert scene.fleet.served() == [TWO, TWO]
    assert scene.steps.count("AnalyseRelease") == 2
    assert verdicts(scene.fleet["host-1"]) == [
        (ONE, "trial", "pass"),
        (ONE, "users", "pass"),
        (TWO, "trial", "pass"),
        (TWO, "users", "pass"),
    ]
    assert verdicts(scene.fleet["host-2"]) == []


def test_release_with_five_percent_errors_is_reverted_before_a_user_reaches_it() -> None:
    scene = Scene()
    error = scene.refused(bad=FAILS)
    assert "the release gate refused" in error.message
    assert " of 300 requests failed (" in error.message
    assert (error.result.release, error.result.previous) == (TWO, ONE)
    assert scene.fleet.served() == [ONE]
    assert "PointTraffic" not in scene.steps
    assert "fail: " in scene.messages
    assert verdicts(scene.fleet["host-1"])[-1] == (TWO, "trial", "fail")


def test_next_deploy_after_a_refused_one_goes_live() -> None:
    scene = Scene()
    scene.refused(bad=FAILS)
    assert scene.go("three").outcome == "live"


QUEUE = Condition("queue", "queue", at_most=5)


def test_condition_is_queried_only_after_users_reach_the_release() -> None:
    scene = Scene()
    scene.metrics.answer("queue", lambda: [({}, float("PointTraffic" in scene.steps))])
    gate = Gate(conditions=(replace(QUEUE, at_least=1),))
    assert scene.go("two", gate).outcome == "live"
    assert scene.metrics.queries == ["queue"]


def _no_series(scene: Scene) -> None:
    scene.metrics.answer("queue", [])


def _not_a_number(scene: Scene) -> None:
    scene.metrics.answer("queue", [({}, float("nan"))])


def _several_series(scene: Scene) -> None:
    scene.metrics.answer("queue", [({"replica": "a"}, 1.0), ({"replica": "b"}, 1.0)])


def _down_from_the_switch_on(scene: Scene) -> None:
    scene.metrics.answer("queue", [({}, 1.0)])

    def end(host: MemoryHost) -> None:
        if "PointTraffic" in scene.steps:
            scene.metrics.broken = "connection refused"

    scene.fleet.after_call = end


BAD_READINGS = pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (_no_series, "queue: Prometheus can't answer `queue`: no series matches"),
        (_not_a_number, "queue: Prometheus can't answer `queue`: a value is nan"),
        (_several_series, "queue: the query returned 2 series instead of one"),
        (_down_from_the_switch_on, "queue: Prometheus can't answer: connection refused"),
    ],
    ids=["no series", "NaN", "several series", "Prometheus down in the middle"],
)


@BAD_READINGS
def test_unreadable_condition_is_tried_three_times_and_then_reverts_the_release(
    prepare: Callable[[Scene], None], message: str
) -> None:
    scene = Scene()
    prepare(scene)
    with pytest.raises(RevertedError) as caught:
        scene.go("two", Gate(conditions=(QUEUE,)))
    assert message in caught.value.message
    assert scene.metrics.queries == ["queue"] * 3
    assert scene.fleet.served() == [ONE]
    assert [each[1:] for each in verdicts(scene.fleet["host-1"])[-2:]] == [
        ("trial", "pass"),
        ("users", "inconclusive"),
    ]


@BAD_READINGS
def test_unreadable_condition_goes_live_if_the_policy_is_continue(
    prepare: Callable[[Scene], None], message: str
) -> None:
    scene = Scene()
    prepare(scene)
    assert scene.go("two", Gate(conditions=(QUEUE,), on_unclear="continue")).outcome == "live"
    assert message.removeprefix("queue: ") in scene.messages
    assert verdicts(scene.fleet["host-1"])[-1] == (TWO, "users", "inconclusive")


def test_deploy_without_conditions_needs_no_prometheus() -> None:
    scene = Scene()
    _down_from_the_switch_on(scene)
    assert scene.go("two").outcome == "live"
    assert scene.metrics.queries == []


@pytest.mark.parametrize("off_s", [300.0, -300.0])
@pytest.mark.parametrize("which", ["host-1", "host-2"])
def test_clocks_five_minutes_apart_change_no_verdict(off_s: float, which: str) -> None:
    scene = Scene("host-1", "host-2")
    scene.fleet[which].log.clock_off_s = off_s
    assert scene.go("two").outcome == "live"
    assert (
        f"{'ahead of' if off_s > 0 else 'behind'} this machine's; the deploy goes on"
        in scene.messages
    )
    with pytest.raises(RevertedError) as caught:
        scene.go("three", bad=FAILS)
    assert " of 300 requests failed (" in caught.value.message
    assert scene.fleet.served() == [TWO, TWO]


def test_canary_gets_its_share_and_then_all_traffic() -> None:
    scene = Scene("host-1", "host-2")
    host, shares = scene.fleet["host-1"], list[float]()

    def users(each: MemoryHost) -> None:
        if each is host and host.running_edges() and "split_clients" in host.nginx.text:
            before = len(host.log.requests)
            for _ in range(100):
                host.answer(80, "", "/")
            new = [r for r in host.log.requests[before:] if r.upstream.endswith("r000002_3f9c2ab")]
            shares.append(len(new) / 100)

    scene.fleet.after_call = users
    assert scene.go("two", canary=20).outcome == "live"
    assert set(shares) == {0.2}
    assert scene.steps.count("ShareTraffic") == 2
    assert scene.fleet.served() == [TWO, TWO]
    assert [each[1] for each in verdicts(host)[-3:]] == ["trial", "canary", "users"]


def test_canary_that_fails_leaves_no_user_on_it() -> None:
    scene = Scene()
    gate = Gate(paths=(), looks=1, on_unclear="rollback")
    error = scene.refused(gate, bad=FAILS, canary=20)
    assert ": 0 requests to the new release" in error.message
    host = scene.fleet["host-1"]
    assert host.nginx is not None
    assert "split_clients" not in host.nginx.text
    assert scene.fleet.served() == [ONE]
    assert scene.steps.count("PointTraffic") == 0


@pytest.mark.parametrize("policy", ["rollback", "continue"])
def test_slower_release_follows_its_policy(policy: str) -> None:
    scene = Scene()
    if policy == "rollback":
        assert ": median" in scene.refused(Gate(on_slower=policy), bad=SLOW).message
        assert scene.fleet.served() == [ONE]
    else:
        assert scene.go("two", Gate(on_slower=policy), bad=SLOW).outcome == "live"


def test_slower_candidate_is_held_for_a_person_if_the_policy_is_hold() -> None:
    scene = Scene()
    with pytest.raises(StuckError) as caught:
        scene.go("two", Gate(on_slower="hold"), bad=SLOW, canary=20)
    assert "is held and no user reaches it" in caught.value.message
    assert f"./ship promote app --release {TWO}" in caught.value.hint
    host = scene.fleet["host-1"]
    assert scene.fleet.served() == [ONE]
    assert f"{paths.ROOT}/services/app/hold.json" in host.files
    assert any(name.startswith("app-r000002") for name in host.engine.containers)
    entries = parse_ledger(host.files[locks.LEDGER].decode())
    assert [each.outcome for each in entries if each.event == "ended"][-1] == "held"
    kept = parse_rollout_log(host.files[f"{paths.rollout_logs('app')}/000002.json"].decode())
    assert (kept.outcome, kept.release) == ("held", TWO)
    assert [span.step for span in kept.spans if span.error] == ["AnalyseRelease"]
