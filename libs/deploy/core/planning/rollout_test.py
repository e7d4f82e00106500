"""Plans as text, from host states as values."""

from __future__ import annotations

import re
from dataclasses import replace

from deploy.core.config import Rollout
from deploy.core.planning.plan import DesiredState, PhaseKind, Plan, Strategy
from deploy.core.planning.revert import plan_revert, release_before
from deploy.core.planning.rollout import adopt, plan_deploy
from deploy.core.planning.steps import (
    AwaitHealthy,
    PointTraffic,
    ReplaceUnhealthy,
    VerifyOutside,
    VerifyPreview,
    WatchRelease,
)
from deploy.core.stacks.prometheus import targets_digest
from deploy.core.state.edge import EdgeRoute, EdgeState
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import Container, HostState
from deploy.core.state.ledger import Entry
from deploy.core.state.release import Release, make_release
from deploy.testing import factories

SUBNET = "10.213.0.0/16"
STACKS = factories.stacks()
OLD, NEW, NEWER = "r000001-3f9c2ab", "r000002-3f9c2ab", "r000003-3f9c2ab"


def release(sequence: int, *, replicas: int = 2) -> Release:
    service = factories.service(replicas=replicas)
    label = f"image {sequence}"
    return make_release(
        service,
        factories.image(label),
        sequence,
        factories.REPLICA,
        factories.ORIGIN,
        subnet=SUBNET,
    )


def desired(sequence: int, *, keep: int = 5) -> DesiredState:
    return DesiredState(factories.service(replicas=2), release(sequence), STACKS, keep)


def bare(name: str) -> HostState:
    return HostState(name, engine_version="28.5", compose_version="2.40", disk_free_bytes=10**11)


def ready(name: str) -> HostState:
    """Returns a host with its stacks, on which no service was ever deployed."""
    stacks = tuple((stack.name, stack.key) for stack in STACKS)
    images = frozenset(stack.image for stack in STACKS)
    return replace(bare(name), network=True, images=images, stacks=stacks)


def running(
    host: HostState, sequence: int, *, health: str = "healthy", count: int = 2
) -> HostState:
    """Returns the host with the release's record, image and `count` replicas."""
    found = release(sequence)
    containers = tuple(
        Container(name, name, "app", found.id, name, "running", health, address)
        for name, address in zip(found.names[:count], found.addresses, strict=False)
    )
    return replace(
        host,
        images=host.images | {found.image},
        releases=(*host.releases, found),
        containers=(*host.containers, *containers),
    )


def routed(host: HostState, live: int, *others: int, candidate: int = 0) -> HostState:
    """Returns the host with `live` live at its edge, and upstreams of `others` beside it."""
    route = EdgeRoute("app", "/", "")
    for sequence in (*others, live):
        route = route.offer(release(sequence).upstream)
    offered = release(candidate).id if candidate else None
    route = replace(route.point(release(live).id), candidate=offered)
    return replace(host, edge=EdgeState((route,)))


def scraped(host: HostState, sequence: int) -> HostState:
    digest = targets_digest(host.host, ((release(sequence), "stable"),))
    return replace(host, targets=(("app", digest),))


def recorded(host: HostState, *turns: tuple[int, int]) -> HostState:
    """Returns the host with operations that ended live in its ledger, as (turn, sequence)."""
    entries = tuple(
        Entry(turn, "", "ada", "deploy", "app", release(s).id, s, "ended", "live")
        for turn, s in turns
    )
    return replace(host, ledger=(*host.ledger, *entries))


def live(name: str, sequence: int, *, turn: int = 1) -> HostState:
    """Returns a host that is in the desired state of a release."""
    host = routed(running(ready(name), sequence), sequence)
    return recorded(scraped(host, sequence), (turn, sequence))


def text(plan: Plan) -> str:
    """Returns the plan's lines with short ids and without digests; these steps don't print their release."""
    kinds = (AwaitHealthy, VerifyOutside, VerifyPreview)
    releases = {step.release for step in plan.steps if isinstance(step, kinds)}
    assert releases <= {plan.release}
    lines = "\n".join(plan.lines()).replace("-3f9c2ab", "").replace("r00000", "r")
    return re.sub("@[0-9a-f]{12}", "", lines)


def test_first_deploy_prepares_a_bare_host() -> None:
    assert text(plan_deploy(desired(1), FleetState((bare("a"),)))) == (
        "prepare:\n"
        "  a: create the network (the host is new)\n"
        "  a: pull app edge python prometheus (not on the host)\n"
        "  a: write release app r1 with 2 replicas (not on the host)\n"
        "  a: start stack edge (not running)\n"
        "  a: start stack watchdog (not running)\n"
        "  a: start stack metrics (not running)\n"
        "start:\n"
        "  a: start 2 replicas of app r1 (new release)\n"
        "  a: wait until 2 replicas are healthy\n"
        "  a: scrape app r1 as candidate (metrics before traffic)\n"
        "preview:\n"
        "  a: offer app r1 on the preview route (checked before it gets traffic)\n"
        "  a: check that all 2 replicas answer on the preview route\n"
        "switch:\n"
        "  a: point traffic at app r1 (nothing is live)\n"
        "  a: check that all 2 replicas answer through the edge\n"
        "watch:\n"
        "  a: watch app r1 for 1 s (all users reach it)\n"
        "record:\n"
        "  a: record app r1 as live (rollback target: verified from outside)\n"
        "tidy:\n"
        "  a: remove unused upstreams of app (only r1 is live)\n"
        "  a: scrape app r1 as stable (live now)"
    )


def test_stack_that_the_watchdog_replaces_is_removed_before_the_watchdog_starts() -> None:
    before = live("a", 1)
    others = tuple(stack for stack in before.stacks if stack[0] != "watchdog")
    keeper = ("keeper", "some key")
    for host in (
        replace(before, stacks=(*others, keeper)),
        replace(before, stacks=others, stopped_stacks=(keeper,)),
    ):
        assert text(plan_deploy(desired(1), FleetState((host,)))) == (
            "prepare:\n"
            "  a: remove stack keeper (replaced by the watchdog)\n"
            "  a: start stack watchdog (not running)\n"
            "verify:\n"
            "  a: check that all 2 replicas answer through the edge\n"
            "record:\n"
            "  a: record app r1 as live (rollback target: verified from outside)"
        )


def test_replaced_stack_that_an_earlier_version_started_again_is_removed() -> None:
    host = live("a", 1)
    host = replace(host, stacks=(*host.stacks, ("keeper", "some key")))
    plan = plan_deploy(desired(1), FleetState((host,)))
    assert text(plan) == (
        "prepare:\n"
        "  a: remove stack keeper (replaced by the watchdog)\n"
        "record:\n"
        "  a: record app r1 as live (rollback target: verified from outside)"
    )


def test_upgrade_stops_the_old_release_once_every_host_has_switched_and_was_verified() -> None:
    plan = plan_deploy(desired(2), FleetState((live("a", 1), live("b", 1))))
    assert plan.previous == OLD
    assert text(plan) == (
        "prepare:\n"
        "  a: pull app (not on the host)\n"
        "  a: write release app r2 with 2 replicas (not on the host)\n"
        "  b: pull app (not on the host)\n"
        "  b: write release app r2 with 2 replicas (not on the host)\n"
        "start:\n"
        "  a: start 2 replicas of app r2 (new release)\n"
        "  a: wait until 2 replicas are healthy\n"
        "  a: scrape app r1 as stable, r2 as candidate (metrics before traffic)\n"
        "  b: start 2 replicas of app r2 (new release)\n"
        "  b: wait until 2 replicas are healthy\n"
        "  b: scrape app r1 as stable, r2 as candidate (metrics before traffic)\n"
        "preview:\n"
        "  a: offer app r2 on the preview route (checked before it gets traffic)\n"
        "  a: check that all 2 replicas answer on the preview route\n"
        "  b: offer app r2 on the preview route (checked before it gets traffic)\n"
        "  b: check that all 2 replicas answer on the preview route\n"
        "switch 1 of 2:\n"
        "  a: point traffic at app r2 (r1 is live)\n"
        "  a: check that all 2 replicas answer through the edge\n"
        "switch 2 of 2:\n"
        "  b: point traffic at app r2 (r1 is live)\n"
        "  b: check that all 2 replicas answer through the edge\n"
        "watch:\n"
        "  a: watch app r2 for 1 s (all users reach it)\n"
        "  b: watch app r2 for 1 s (all users reach it)\n"
        "record:\n"
        "  a: record app r2 as live (rollback target: verified from outside)\n"
        "  b: record app r2 as live (rollback target: verified from outside)\n"
        "tidy:\n"
        "  a: remove unused upstreams of app (only r2 is live)\n"
        "  a: wait for connections to drain (requests in flight finish first)\n"
        "  a: stop release app r1 (live before)\n"
        "  a: scrape app r2 as stable (live now)\n"
        "  b: remove unused upstreams of app (only r2 is live)\n"
        "  b: wait for connections to drain (requests in flight finish first)\n"
        "  b: stop release app r1 (live before)\n"
        "  b: scrape app r2 as stable (live now)"
    )


def test_no_phase_after_the_analysis_is_reversible() -> None:
    plan = plan_deploy(desired(2), FleetState((live("a", 1), live("b", 1))))
    assert [phase.name for phase in plan.phases if not phase.reversible] == ["record", "tidy"]


def test_plan_is_empty_when_the_fleet_matches() -> None:
    plan = plan_deploy(desired(1), FleetState((live("a", 1), live("b", 1))))
    assert (plan.phases, plan.steps, plan.lines()) == ((), (), ())


def test_rerun_after_a_kill_between_two_hosts_does_the_rest() -> None:
    both = (running(live("a", 1), 2), running(live("b", 1), 2))
    hosts = (routed(both[0], 2, 1, candidate=2), routed(both[1], 1, 2, candidate=2))
    assert adopt(
        factories.service(replicas=2), release(2).image, release(2).config_hash, FleetState(hosts)
    ) == release(2)
    assert text(plan_deploy(desired(2), FleetState(hosts))) == (
        "start:\n"
        "  b: wait until 2 replicas are healthy\n"
        "  b: scrape app r1 as stable, r2 as candidate (metrics before traffic)\n"
        "preview:\n"
        "  b: offer app r2 on the preview route (checked before it gets traffic)\n"
        "  b: check that all 2 replicas answer on the preview route\n"
        "switch:\n"
        "  b: point traffic at app r2 (r1 is live)\n"
        "  b: check that all 2 replicas answer through the edge\n"
        "verify:\n"
        "  a: check that all 2 replicas answer through the edge\n"
        "watch:\n"
        "  a: watch app r2 for 1 s (all users reach it)\n"
        "  b: watch app r2 for 1 s (all users reach it)\n"
        "record:\n"
        "  a: record app r2 as live (rollback target: verified from outside)\n"
        "  b: record app r2 as live (rollback target: verified from outside)\n"
        "tidy:\n"
        "  a: remove unused upstreams of app (only r2 is live)\n"
        "  a: wait for connections to drain (requests in flight finish first)\n"
        "  a: stop release app r1 (live before)\n"
        "  a: scrape app r2 as stable (live now)\n"
        "  b: remove unused upstreams of app (only r2 is live)\n"
        "  b: wait for connections to drain (requests in flight finish first)\n"
        "  b: stop release app r1 (live before)\n"
        "  b: scrape app r2 as stable (live now)"
    )


def test_rerun_after_a_kill_before_the_last_record_writes_it_to_all_ledgers() -> None:
    hosts = (recorded(live("a", 1), (2, 1)), live("b", 1))
    assert text(plan_deploy(desired(1), FleetState(hosts))) == ""
    behind = (live("a", 2, turn=2), replace(live("b", 2), ledger=live("b", 1).ledger))
    assert text(plan_deploy(desired(2), FleetState(behind))) == (
        "verify:\n"
        "  b: check that all 2 replicas answer through the edge\n"
        "watch:\n"
        "  b: watch app r2 for 1 s (all users reach it)\n"
        "record:\n"
        "  a: record app r2 as live (rollback target: verified from outside)\n"
        "  b: record app r2 as live (rollback target: verified from outside)"
    )


def test_rerun_after_a_kill_before_the_last_file_writes_the_scrape_targets() -> None:
    host = scraped(live("a", 2, turn=2), 1)
    assert text(plan_deploy(desired(2), FleetState((host,)))) == (
        "record:\n"
        "  a: record app r2 as live (rollback target: verified from outside)\n"
        "tidy:\n"
        "  a: scrape app r2 as stable (live now)"
    )


def test_missing_replica_is_started_and_the_release_verified_again() -> None:
    host = live("a", 1)
    assert text(
        plan_deploy(desired(1), FleetState((replace(host, containers=host.containers[:1]),)))
    ) == (
        "start:\n"
        "  a: start 2 replicas of app r1 (not all are ready)\n"
        "  a: wait until 2 replicas are healthy\n"
        "verify:\n"
        "  a: check that all 2 replicas answer through the edge\n"
        "record:\n"
        "  a: record app r1 as live (rollback target: verified from outside)"
    )


def test_half_started_candidate_is_adopted_and_its_unhealthy_replicas_replaced() -> None:
    host = running(live("a", 1), 2, health="starting")
    plan = plan_deploy(desired(2), FleetState((host,)))
    assert not any(isinstance(step, ReplaceUnhealthy) for step in plan.steps)
    crashed = replace(
        host,
        containers=tuple(
            replace(c, restarts=2) if c.release == NEW else c for c in host.containers
        ),
    )
    assert (
        "start:\n"
        "  a: keep the logs of app r2 (unhealthy replicas are replaced)\n"
        "  a: remove unhealthy app-r2-1 app-r2-2 (starting)\n"
        "  a: start 2 replicas of app r2 (new release)\n"
    ) in text(plan_deploy(desired(2), FleetState((crashed,))))


def test_changed_stacks_are_renewed_one_host_at_a_time_and_verified() -> None:
    others = tuple((stack.name, stack.key) for stack in STACKS[1:])
    hosts = tuple(replace(live(name, 1), stacks=(("edge", "old"), *others)) for name in "ab")
    plan = plan_deploy(desired(1), FleetState(hosts))
    assert text(plan) == (
        "renew:\n"
        "  a: start stack edge (image or configuration changed)\n"
        "  b: start stack edge (image or configuration changed)\n"
        "verify:\n"
        "  a: check that all 2 replicas answer through the edge\n"
        "  b: check that all 2 replicas answer through the edge\n"
        "record:\n"
        "  a: record app r1 as live (rollback target: verified from outside)\n"
        "  b: record app r1 as live (rollback target: verified from outside)\n"
        "tidy:\n"
        f"  a: stop stack edge old (replaced by {STACKS[0].key})\n"
        f"  b: stop stack edge old (replaced by {STACKS[0].key})"
    )
    assert plan.phases[0].one_by_one


def test_pruning_keeps_the_rollback_target_however_old_it_is() -> None:
    """Two rollbacks went to 1: it is the oldest release, and the last one that was live before 4."""
    host = replace(live("a", 4, turn=6), releases=tuple(release(s) for s in range(1, 5)))
    host = recorded(host, (1, 1), (2, 2), (3, 1), (4, 3), (5, 1), (6, 4))
    lines = text(plan_deploy(desired(4, keep=2), FleetState((host,))))
    assert "remove old releases r3 r2 (" in lines


def test_pruning_keeps_the_releases_that_were_live_last() -> None:
    host = live("a", 5, turn=5)
    host = replace(host, releases=tuple(release(s) for s in range(1, 6)))
    host = recorded(host, (1, 1), (2, 2), (4, 4))
    images = frozenset(release(sequence).image for sequence in range(1, 6)) | host.images
    lines = text(plan_deploy(desired(5, keep=2), FleetState((replace(host, images=images),))))
    assert lines == (
        "record:\n"
        "  a: record app r5 as live (rollback target: verified from outside)\n"
        "tidy:\n"
        "  a: remove old releases r3 r2 r1 (keeping 2)"
    )


def test_image_is_removed_with_the_last_release_that_uses_it() -> None:
    shared = release(1).image
    host = live("a", 3, turn=3)
    others = (replace(release(1), image=shared), replace(release(2), image=shared))
    host = recorded(replace(host, releases=(*host.releases, *others)), (1, 1), (2, 2))
    kept = plan_deploy(desired(3, keep=2), FleetState((host,))).steps[-1]
    gone = plan_deploy(desired(3, keep=1), FleetState((host,))).steps[-1]
    assert getattr(kept, "images", None) == ()
    assert getattr(gone, "images", None) == (shared,)


# Batches.


def batches(names: str, **rollout: float) -> list[str]:
    """Returns the phases around the switch of these hosts, each with its hosts."""
    settings = Rollout(**{"watch_s": 0, **rollout})  # type: ignore[arg-type]
    state = desired(2)
    state = replace(state, service=replace(state.service, rollout=settings))
    plan = plan_deploy(state, FleetState(tuple(live(name, 1) for name in names)))
    kinds = (PointTraffic, WatchRelease)
    found = {
        phase.name: "".join(step.host for step in phase.steps if isinstance(step, kinds))
        for phase in plan.phases
    }
    return [f"{phase.partition(' ')[0]} {hosts}" for phase, hosts in found.items() if hosts]


def test_first_host_switches_alone_and_the_rest_in_batches() -> None:
    assert batches("abcde", max_parallel=2) == ["switch a", "switch bc", "switch de"]
    assert batches("abc", max_parallel=9, watch_s=5) == ["switch a", "switch bc", "watch abc"]
    assert batches("a") == ["switch a"]


def test_each_batch_is_watched_before_the_next_one_switches() -> None:
    plan = plan_deploy(
        replace(desired(2), service=replace(desired(2).service, rollout=Rollout(batch_pause_s=7))),
        FleetState((live("a", 1), live("b", 1), live("c", 1))),
    )
    order = [
        (phase.name.partition(" ")[0], step.host)
        for phase in plan.phases
        for step in phase.steps
        if isinstance(step, PointTraffic | WatchRelease)
    ]
    assert order == [
        ("switch", "a"),
        ("pause", "a"),
        ("switch", "b"),
        ("pause", "b"),
        ("switch", "c"),
        ("watch", "a"),
        ("watch", "b"),
        ("watch", "c"),
    ]


def test_rollback_switches_all_hosts_at_once_and_is_not_watched() -> None:
    rollback = replace(desired(2), strategy=Strategy.ROLLBACK)
    plan = plan_deploy(rollback, FleetState((live("a", 1), live("b", 1))))
    (switch,) = (phase for phase in plan.phases if phase.kind is PhaseKind.SWITCH)
    assert {step.host for step in switch.steps} == {"a", "b"}
    assert not any(isinstance(step, WatchRelease) for step in plan.steps)


# Scale.


def scale(host: HostState, replicas: int) -> Plan:
    return plan_deploy(
        replace(desired(1), release=release(1, replicas=replicas)), FleetState((host,))
    )


def test_scaling_up_starts_replicas_beside_the_running_ones() -> None:
    assert text(scale(live("a", 1), 3)) == (
        "prepare:\n"
        "  a: write release app r1 with 3 replicas (it has 2 now)\n"
        "start:\n"
        "  a: start 3 replicas of app r1 (not all are ready)\n"
        "  a: wait until 3 replicas are healthy\n"
        "switch:\n"
        "  a: point traffic at app r1 (its replicas changed)\n"
        "  a: check that all 3 replicas answer through the edge\n"
        "record:\n"
        "  a: record app r1 as live (rollback target: verified from outside)\n"
        "tidy:\n"
        "  a: scrape app r1 as stable (live now)"
    )


def test_scaling_down_stops_surplus_replicas_after_the_drain() -> None:
    assert text(scale(live("a", 1), 1)) == (
        "prepare:\n"
        "  a: write release app r1 with 1 replica (it has 2 now)\n"
        "switch:\n"
        "  a: point traffic at app r1 (its replicas changed)\n"
        "  a: check that the replica answers through the edge\n"
        "record:\n"
        "  a: record app r1 as live (rollback target: verified from outside)\n"
        "tidy:\n"
        "  a: wait for connections to drain (requests in flight finish first)\n"
        "  a: stop surplus app-r1-2 (scaled to 1)\n"
        "  a: scrape app r1 as stable (live now)"
    )


def test_revert_of_a_scale_restores_the_number_of_replicas() -> None:
    before = live("a", 1)
    more = release(1, replicas=3)
    third = replace(before.containers[0], id="3", name=more.names[2])
    route = EdgeRoute("app", "/", "").offer(more.upstream).point(more.id).settle()
    now = replace(
        before,
        releases=(more,),
        containers=(*before.containers, third),
        edge=EdgeState((route,)),
    )
    plan = plan_revert(
        replace(desired(1), release=more), release(1), FleetState((before,)), FleetState((now,))
    )
    assert text(plan) == (
        "revert:\n"
        "  a: write release app r1 with 2 replicas (it has 3 now)\n"
        "  a: point traffic at app r1 (its replicas changed)\n"
        "  a: check that all 2 replicas answer through the edge\n"
        "  a: wait for connections to drain (requests in flight finish first)\n"
        "  a: stop surplus app-r1-3 (scaled to 2)"
    )


def test_image_without_a_record_is_removed_but_no_other_service_s() -> None:
    host = live("a", 1)
    lost, other = factories.image("lost"), factories.image("lost", "shop")
    (step,) = plan_deploy(
        desired(1), FleetState((replace(host, images=host.images | {lost, other}),))
    ).steps[-1:]
    assert getattr(step, "images", None) == (lost,)


def test_image_of_an_edge_is_removed_once_no_record_names_it() -> None:
    old, kept = factories.image("edge old", "edge"), factories.stacks("kept")[0]
    host = live("a", 1)
    other = replace(release(2), service="shop", edge=kept)
    host = replace(host, images=host.images | {old, kept.image}, releases=(*host.releases, other))
    (step,) = plan_deploy(desired(1), FleetState((host,))).steps[-1:]
    assert getattr(step, "images", None) == (old,)


# Revert.


def reverted(to: int, before: tuple[HostState, ...], now: tuple[HostState, ...]) -> str:
    """The plan that reverts an attempt at release 2, whose beginning is in the ledgers."""
    begun = replace(factories.ENTRY, turn=9, release=release(2).id)
    now = tuple(replace(host, ledger=(*host.ledger, begun)) for host in now)
    return text(
        plan_revert(desired(2), release(to) if to else None, FleetState(before), FleetState(now))
    )


def test_revert_removes_a_candidate() -> None:
    before = (live("a", 1),)
    now = routed(running(before[0], 2), 1, 2, candidate=2)
    assert reverted(1, before, (replace(now, targets=(("app", "other"),)),)) == (
        "revert:\n"
        "  a: remove unused upstreams of app (only r1 is live)\n"
        "  a: wait for connections to drain (requests in flight finish first)\n"
        "  a: keep the logs of app r2 (never went live)\n"
        "  a: stop release app r2 (never went live)\n"
        "  a: scrape app r1 as stable (live now)\n"
        "  a: remove old release r2 (keeping 5)"
    )


def test_revert_switches_back() -> None:
    before = (live("a", 1),)
    now = routed(running(before[0], 2), 2, 1, candidate=2)
    assert reverted(1, before, (now,)) == (
        "revert:\n"
        "  a: wait until 2 replicas are healthy\n"
        "  a: scrape app r2 as stable, r1 as candidate (metrics before traffic)\n"
        "  a: point traffic at app r1 (r2 is live)\n"
        "  a: check that all 2 replicas answer through the edge\n"
        "  a: remove unused upstreams of app (only r1 is live)\n"
        "  a: wait for connections to drain (requests in flight finish first)\n"
        "  a: keep the logs of app r2 (live before)\n"
        "  a: stop release app r2 (live before)\n"
        "  a: scrape app r1 as stable (live now)\n"
        "  a: remove old release r2 (keeping 5)"
    )


def test_revert_clears_a_host_that_had_no_release_and_hosts_are_independent() -> None:
    before = (live("a", 1), bare("b"))
    now = (live("a", 1), routed(running(ready("b"), 2), 2, candidate=2))
    plan = plan_revert(desired(2), release(1), FleetState(before), FleetState(now))
    assert text(plan) == (
        "revert:\n"
        "  b: remove unused upstreams of app (no release was ever verified)\n"
        "  b: wait for connections to drain (requests in flight finish first)\n"
        "  b: keep the logs of app r2 (never went live)\n"
        "  b: stop release app r2 (never went live)\n"
        "  b: remove old release r2 (never went live)"
    )
    assert all(phase.independent for phase in plan.phases)


def test_revert_does_not_repair_replicas_of_the_live_release() -> None:
    before = live("a", 1)
    degraded = replace(before, containers=before.containers[:1])
    assert reverted(1, (degraded,), (degraded,)) == ""


def test_revert_starts_a_stack_that_ran_before_and_no_other() -> None:
    before = replace(live("a", 1), stacks=(("edge", "old"),))
    assert reverted(1, (before,), (replace(before, stacks=()),)) == (
        "revert:\n"
        "  a: start stack edge (not running)\n"
        "  a: check that all 2 replicas answer through the edge"
    )


def test_revert_starts_the_watchdog_only_if_neither_it_nor_what_it_replaces_runs() -> None:
    before = replace(live("a", 1), stacks=(("edge", "old"), ("keeper", "old")))
    neither = replace(before, stacks=(("edge", "old"),))
    stopped = replace(neither, stopped_stacks=(("keeper", "old"),))
    start = (
        "  a: start stack watchdog (not running)\n"
        "  a: check that all 2 replicas answer through the edge"
    )
    assert reverted(1, (before,), (before,)) == ""
    assert reverted(1, (before,), (neither,)) == f"revert:\n{start}"
    assert reverted(1, (before,), (stopped,)) == (
        f"revert:\n  a: remove stack keeper (replaced by the watchdog)\n{start}"
    )


def test_revert_target_is_the_release_verified_last_on_any_host() -> None:
    ahead = recorded(live("a", 2), (2, 2))
    assert release_before("app", FleetState((live("b", 1), ahead))) == NEW
    assert release_before("app", FleetState((recorded(live("a", 2), (3, 1)), ahead))) == OLD


def test_revert_target_is_the_newest_live_release_if_none_was_verified() -> None:
    unproven = replace(live("a", 2), ledger=())
    assert release_before("app", FleetState((unproven, bare("b")))) == NEW
    assert release_before("app", FleetState((bare("a"), bare("b")))) is None


# Adoption.


def adopted(*hosts: HostState, sequence: int = 2, replicas: int = 2) -> Release | None:
    service, found = factories.service(replicas=replicas), release(sequence)
    return adopt(service, found.image, found.config_hash, FleetState(hosts))


def test_running_release_is_adopted() -> None:
    assert adopted(bare("a"), running(ready("b"), 2, count=1)) == release(2)


def test_record_without_replicas_is_not_adopted() -> None:
    assert adopted(running(ready("a"), 2, count=0)) is None


def test_another_image_or_configuration_is_not_adopted() -> None:
    host = running(ready("a"), 2)
    assert adopted(host, sequence=3) is None
    changed = replace(host, releases=(replace(release(2), config_hash="sha256:other"),))
    assert adopted(changed) is None


def test_another_number_of_replicas_is_the_same_release() -> None:
    assert adopted(running(ready("a"), 2), replicas=3) == release(2, replicas=3)


def test_newest_of_several_is_adopted() -> None:
    newer = replace(release(3), image=release(2).image, id=NEWER)
    host = running(ready("a"), 2)
    twin = tuple(replace(c, name=f"{c.name}-", release=NEWER) for c in host.containers)
    both = replace(host, releases=(*host.releases, newer), containers=(*host.containers, *twin))
    assert adopted(both) == newer
