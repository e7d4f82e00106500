"""Plans as text, from hosts as values."""

from __future__ import annotations

import re
from dataclasses import replace

from deploy.core.config import Rollout
from deploy.core.planning.plan import DesiredState, Plan
from deploy.core.planning.revert import plan_revert, release_before
from deploy.core.planning.rollout import adopt, plan_deploy
from deploy.core.planning.steps import PointTraffic, WatchRelease
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
    """A host with its parts, on which no service was ever deployed."""
    stacks = tuple((stack.name, stack.key) for stack in STACKS)
    images = frozenset(stack.image for stack in STACKS)
    return replace(bare(name), network=True, images=images, stacks=stacks)


def running(
    host: HostState, sequence: int, *, health: str = "healthy", count: int = 2
) -> HostState:
    """The host with the release's record, image and `count` replicas."""
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
    """The host with its edge on `live`, and upstreams of `others` beside it."""
    route = EdgeRoute("app", "/", "")
    for sequence in (*others, live):
        route = route.offer(release(sequence).upstream)
    of = release(candidate).id if candidate else ""
    return replace(host, edge=EdgeState((replace(route.point(release(live).id), candidate=of),)))


def scraped(host: HostState, sequence: int) -> HostState:
    digest = targets_digest(host.host, ((release(sequence), "stable"),))
    return replace(host, targets=(("app", digest),))


def recorded(host: HostState, *turns: tuple[int, int]) -> HostState:
    """The host with (turn, sequence) pairs that ended live."""
    entries = tuple(
        Entry(turn, "", "ada", "deploy", "app", release(s).id, s, "ended", "live")
        for turn, s in turns
    )
    return replace(host, ledger=(*host.ledger, *entries))


def live(name: str, sequence: int, *, turn: int = 1) -> HostState:
    """A host that serves a release as it should."""
    host = routed(running(ready(name), sequence), sequence)
    return recorded(scraped(host, sequence), (turn, sequence))


def text(plan: Plan) -> str:
    """The plan's lines, without digests and with short ids."""
    lines = "\n".join(plan.lines()).replace("-3f9c2ab", "").replace("r00000", "r")
    return re.sub("@[0-9a-f]{12}", "", lines)


def test_a_bare_host_gets_all() -> None:
    assert text(plan_deploy(desired(1), FleetState((bare("a"),)))) == (
        "prepare:\n"
        "  a: PrepareHost (the host is new)\n"
        "  a: PullImages app edge python prometheus (not on the host)\n"
        "  a: WriteRelease app r1 x2 (the host doesn't have its record)\n"
        "  a: StartStack edge (it doesn't run)\n"
        "  a: StartStack watchdog (it doesn't run)\n"
        "  a: StartStack metrics (it doesn't run)\n"
        "start:\n"
        "  a: StartReplicas app r1 x2 (it is to be live)\n"
        "  a: AwaitHealthy app r1 x2 (no replica gets traffic before it is healthy)\n"
        "  a: WriteTargets app r1=candidate (a candidate is seen before it gets traffic)\n"
        "preview:\n"
        "  a: OfferCandidate app r1 (seen answering before it gets traffic)\n"
        "  a: VerifyPreview app r1 (seen answering before it gets traffic)\n"
        "switch:\n"
        "  a: PointTraffic app r1 (nothing is live)\n"
        "  a: VerifyOutside app r1 (only what answers from outside is live)\n"
        "gate:\n"
        "  a: WatchRelease app r1 (it is judged under its users)\n"
        "record:\n"
        "  a: RecordLive app r1 (the way back is to what answered from outside)\n"
        "tidy:\n"
        "  a: SettleEdge (only r1 is served)\n"
        "  a: WriteTargets app r1=stable (only what is live is scraped)"
    )


def test_a_stack_that_the_watchdog_replaces_is_removed_before_the_watchdog_starts() -> None:
    before = live("a", 1)
    others = tuple(each for each in before.stacks if each[0] != "watchdog")
    keeper = ("keeper", "some key")
    for host in (
        replace(before, stacks=(*others, keeper)),
        replace(before, stacks=others, stopped_stacks=(keeper,)),
    ):
        assert text(plan_deploy(desired(1), FleetState((host,)))) == (
            "prepare:\n"
            "  a: RemoveStack keeper (replaced by the watchdog)\n"
            "  a: StartStack watchdog (it doesn't run)\n"
            "verify:\n"
            "  a: VerifyOutside app r1 (only what answers from outside is live)\n"
            "record:\n"
            "  a: RecordLive app r1 (the way back is to what answered from outside)"
        )


def test_a_replaced_stack_that_an_earlier_version_started_again_is_removed() -> None:
    host = live("a", 1)
    host = replace(host, stacks=(*host.stacks, ("keeper", "some key")))
    plan = plan_deploy(desired(1), FleetState((host,)))
    assert text(plan) == (
        "prepare:\n"
        "  a: RemoveStack keeper (replaced by the watchdog)\n"
        "record:\n"
        "  a: RecordLive app r1 (the way back is to what answered from outside)"
    )


def test_an_upgrade_stops_the_old_after_every_host_has_switched_and_was_verified() -> None:
    plan = plan_deploy(desired(2), FleetState((live("a", 1), live("b", 1))))
    assert plan.previous == OLD
    assert text(plan) == (
        "prepare:\n"
        "  a: PullImages app (not on the host)\n"
        "  a: WriteRelease app r2 x2 (the host doesn't have its record)\n"
        "  b: PullImages app (not on the host)\n"
        "  b: WriteRelease app r2 x2 (the host doesn't have its record)\n"
        "start:\n"
        "  a: StartReplicas app r2 x2 (it is to be live)\n"
        "  a: AwaitHealthy app r2 x2 (no replica gets traffic before it is healthy)\n"
        "  a: WriteTargets app r1=stable r2=candidate (a candidate is seen before it gets traffic)\n"
        "  b: StartReplicas app r2 x2 (it is to be live)\n"
        "  b: AwaitHealthy app r2 x2 (no replica gets traffic before it is healthy)\n"
        "  b: WriteTargets app r1=stable r2=candidate (a candidate is seen before it gets traffic)\n"
        "preview:\n"
        "  a: OfferCandidate app r2 (seen answering before it gets traffic)\n"
        "  a: VerifyPreview app r2 (seen answering before it gets traffic)\n"
        "  b: OfferCandidate app r2 (seen answering before it gets traffic)\n"
        "  b: VerifyPreview app r2 (seen answering before it gets traffic)\n"
        "switch 1 of 2:\n"
        "  a: PointTraffic app r2 (r1 is live)\n"
        "  a: VerifyOutside app r2 (only what answers from outside is live)\n"
        "switch 2 of 2:\n"
        "  b: PointTraffic app r2 (r1 is live)\n"
        "  b: VerifyOutside app r2 (only what answers from outside is live)\n"
        "gate:\n"
        "  a: WatchRelease app r2 (it is judged under its users)\n"
        "  b: WatchRelease app r2 (it is judged under its users)\n"
        "record:\n"
        "  a: RecordLive app r2 (the way back is to what answered from outside)\n"
        "  b: RecordLive app r2 (the way back is to what answered from outside)\n"
        "tidy:\n"
        "  a: SettleEdge (only r2 is served)\n"
        "  a: AwaitDrained (requests in flight finish first)\n"
        "  a: StopRelease app r1 (it was live before)\n"
        "  a: WriteTargets app r2=stable (only what is live is scraped)\n"
        "  b: SettleEdge (only r2 is served)\n"
        "  b: AwaitDrained (requests in flight finish first)\n"
        "  b: StopRelease app r1 (it was live before)\n"
        "  b: WriteTargets app r2=stable (only what is live is scraped)"
    )


def test_nothing_after_the_gate_is_reversible() -> None:
    plan = plan_deploy(desired(2), FleetState((live("a", 1), live("b", 1))))
    assert [phase.name for phase in plan.phases if not phase.reversible] == ["record", "tidy"]


def test_what_is_as_wanted_needs_nothing() -> None:
    plan = plan_deploy(desired(1), FleetState((live("a", 1), live("b", 1))))
    assert (plan.phases, plan.steps, plan.lines()) == ((), (), ())


def test_after_a_kill_between_two_hosts_only_the_rest_is_done() -> None:
    both = (running(live("a", 1), 2), running(live("b", 1), 2))
    hosts = (routed(both[0], 2, 1, candidate=2), routed(both[1], 1, 2, candidate=2))
    assert adopt(
        factories.service(replicas=2), release(2).image, release(2).config_hash, FleetState(hosts)
    ) == release(2)
    assert text(plan_deploy(desired(2), FleetState(hosts))) == (
        "start:\n"
        "  b: AwaitHealthy app r2 x2 (no replica gets traffic before it is healthy)\n"
        "  b: WriteTargets app r1=stable r2=candidate (a candidate is seen before it gets traffic)\n"
        "preview:\n"
        "  b: OfferCandidate app r2 (seen answering before it gets traffic)\n"
        "  b: VerifyPreview app r2 (seen answering before it gets traffic)\n"
        "switch:\n"
        "  b: PointTraffic app r2 (r1 is live)\n"
        "  b: VerifyOutside app r2 (only what answers from outside is live)\n"
        "verify:\n"
        "  a: VerifyOutside app r2 (only what answers from outside is live)\n"
        "gate:\n"
        "  a: WatchRelease app r2 (it is judged under its users)\n"
        "  b: WatchRelease app r2 (it is judged under its users)\n"
        "record:\n"
        "  a: RecordLive app r2 (the way back is to what answered from outside)\n"
        "  b: RecordLive app r2 (the way back is to what answered from outside)\n"
        "tidy:\n"
        "  a: SettleEdge (only r2 is served)\n"
        "  a: AwaitDrained (requests in flight finish first)\n"
        "  a: StopRelease app r1 (it was live before)\n"
        "  a: WriteTargets app r2=stable (only what is live is scraped)\n"
        "  b: SettleEdge (only r2 is served)\n"
        "  b: AwaitDrained (requests in flight finish first)\n"
        "  b: StopRelease app r1 (it was live before)\n"
        "  b: WriteTargets app r2=stable (only what is live is scraped)"
    )


def test_after_a_kill_before_the_last_record_all_ledgers_get_it() -> None:
    hosts = (recorded(live("a", 1), (2, 1)), live("b", 1))
    assert text(plan_deploy(desired(1), FleetState(hosts))) == ""
    behind = (live("a", 2, turn=2), replace(live("b", 2), ledger=live("b", 1).ledger))
    assert text(plan_deploy(desired(2), FleetState(behind))) == (
        "verify:\n"
        "  b: VerifyOutside app r2 (only what answers from outside is live)\n"
        "gate:\n"
        "  b: WatchRelease app r2 (it is judged under its users)\n"
        "record:\n"
        "  a: RecordLive app r2 (the way back is to what answered from outside)\n"
        "  b: RecordLive app r2 (the way back is to what answered from outside)"
    )


def test_after_a_kill_before_the_last_file_the_targets_are_made_good() -> None:
    host = scraped(live("a", 2, turn=2), 1)
    assert text(plan_deploy(desired(2), FleetState((host,)))) == (
        "record:\n"
        "  a: RecordLive app r2 (the way back is to what answered from outside)\n"
        "tidy:\n"
        "  a: WriteTargets app r2=stable (only what is live is scraped)"
    )


def test_a_missing_replica_is_started_and_the_whole_verified_again() -> None:
    host = live("a", 1)
    assert text(
        plan_deploy(desired(1), FleetState((replace(host, containers=host.containers[:1]),)))
    ) == (
        "start:\n"
        "  a: StartReplicas app r1 x2 (not all its replicas are ready)\n"
        "  a: AwaitHealthy app r1 x2 (no replica gets traffic before it is healthy)\n"
        "verify:\n"
        "  a: VerifyOutside app r1 (only what answers from outside is live)\n"
        "record:\n"
        "  a: RecordLive app r1 (the way back is to what answered from outside)"
    )


def test_a_half_started_candidate_is_adopted_and_what_ails_started_anew() -> None:
    host = running(live("a", 1), 2, health="starting")
    assert "ReplaceUnhealthy" not in text(plan_deploy(desired(2), FleetState((host,))))
    ill = replace(
        host,
        containers=tuple(
            replace(c, restarts=2) if c.release == NEW else c for c in host.containers
        ),
    )
    assert (
        "start:\n"
        "  a: ReplaceUnhealthy app-r2-1 app-r2-2 (starting: started anew)\n"
        "  a: StartReplicas app r2 x2 (it is to be live)\n"
    ) in text(plan_deploy(desired(2), FleetState((ill,))))


def test_parts_that_changed_are_renewed_host_by_host_and_proven() -> None:
    others = tuple((stack.name, stack.key) for stack in STACKS[1:])
    hosts = tuple(replace(live(name, 1), stacks=(("edge", "old"), *others)) for name in "ab")
    plan = plan_deploy(desired(1), FleetState(hosts))
    assert text(plan) == (
        "renew:\n"
        "  a: StartStack edge (its image or configuration changed)\n"
        "  b: StartStack edge (its image or configuration changed)\n"
        "verify:\n"
        "  a: VerifyOutside app r1 (only what answers from outside is live)\n"
        "  b: VerifyOutside app r1 (only what answers from outside is live)\n"
        "record:\n"
        "  a: RecordLive app r1 (the way back is to what answered from outside)\n"
        "  b: RecordLive app r1 (the way back is to what answered from outside)\n"
        "tidy:\n"
        f"  a: StopStack edge old ({STACKS[0].key} serves in its place)\n"
        f"  b: StopStack edge old ({STACKS[0].key} serves in its place)"
    )
    assert plan.phases[0].one_by_one


def test_pruning_keeps_the_way_back_however_old_it_is() -> None:
    """1 was gone back to twice: it is the oldest, and the last that served before 4."""
    host = replace(live("a", 4, turn=6), releases=tuple(release(s) for s in range(1, 5)))
    host = recorded(host, (1, 1), (2, 2), (3, 1), (4, 3), (5, 1), (6, 4))
    lines = text(plan_deploy(desired(4, keep=2), FleetState((host,))))
    assert "Prune r3 r2 (" in lines


def test_pruning_keeps_the_newest_that_were_live_and_never_what_was_not() -> None:
    host = live("a", 5, turn=5)
    host = replace(host, releases=tuple(release(s) for s in range(1, 6)))
    host = recorded(host, (1, 1), (2, 2), (4, 4))
    images = frozenset(release(sequence).image for sequence in range(1, 6)) | host.images
    lines = text(plan_deploy(desired(5, keep=2), FleetState((replace(host, images=images),))))
    assert lines == (
        "record:\n"
        "  a: RecordLive app r5 (the way back is to what answered from outside)\n"
        "tidy:\n"
        "  a: Prune r3 r2 r1 (2 releases are kept, and none that never went live)"
    )


def test_an_image_goes_with_the_last_release_that_uses_it() -> None:
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
    """The phases around the switch of these hosts, each with its hosts."""
    told = Rollout(**{"watch_s": 0, **rollout})  # type: ignore[arg-type]
    wish = desired(2)
    wish = replace(wish, service=replace(wish.service, rollout=told))
    plan = plan_deploy(wish, FleetState(tuple(live(name, 1) for name in names)))
    kinds = (PointTraffic, WatchRelease)
    found = {
        phase.name: "".join(step.host for step in phase.steps if isinstance(step, kinds))
        for phase in plan.phases
    }
    return [f"{phase.partition(' ')[0]} {hosts}" for phase, hosts in found.items() if hosts]


def test_the_first_host_switches_alone_and_the_rest_in_batches() -> None:
    assert batches("abcde", max_parallel=2) == ["switch a", "switch bc", "switch de"]
    assert batches("abc", max_parallel=9, watch_s=5) == ["switch a", "switch bc", "gate abc"]
    assert batches("a") == ["switch a"]


def test_a_batch_is_watched_before_the_next_one_switches() -> None:
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
        ("gate", "a"),
        ("gate", "b"),
        ("gate", "c"),
    ]


def test_what_was_verified_before_comes_back_everywhere_at_once_and_unwatched() -> None:
    plan = plan_deploy(replace(desired(2), judged=False), FleetState((live("a", 1), live("b", 1))))
    (switch,) = (phase for phase in plan.phases if phase.name.startswith("switch"))
    assert {step.host for step in switch.steps} == {"a", "b"}
    assert not any(isinstance(step, WatchRelease) for step in plan.steps)


# Scale.


def scale(host: HostState, replicas: int) -> Plan:
    return plan_deploy(
        replace(desired(1), release=release(1, replicas=replicas)), FleetState((host,))
    )


def test_more_replicas_are_started_beside_those_that_serve() -> None:
    assert text(scale(live("a", 1), 3)) == (
        "prepare:\n"
        "  a: WriteRelease app r1 x3 (it has 2 replicas)\n"
        "start:\n"
        "  a: StartReplicas app r1 x3 (not all its replicas are ready)\n"
        "  a: AwaitHealthy app r1 x3 (no replica gets traffic before it is healthy)\n"
        "switch:\n"
        "  a: PointTraffic app r1 (it has other replicas)\n"
        "  a: VerifyOutside app r1 (only what answers from outside is live)\n"
        "record:\n"
        "  a: RecordLive app r1 (the way back is to what answered from outside)\n"
        "tidy:\n"
        "  a: WriteTargets app r1=stable (only what is live is scraped)"
    )


def test_fewer_replicas_are_stopped_once_no_worker_knows_them() -> None:
    assert text(scale(live("a", 1), 1)) == (
        "prepare:\n"
        "  a: WriteRelease app r1 x1 (it has 2 replicas)\n"
        "switch:\n"
        "  a: PointTraffic app r1 (it has other replicas)\n"
        "  a: VerifyOutside app r1 (only what answers from outside is live)\n"
        "record:\n"
        "  a: RecordLive app r1 (the way back is to what answered from outside)\n"
        "tidy:\n"
        "  a: AwaitDrained (requests in flight finish first)\n"
        "  a: ScaleDown app-r1-2 (1 are wanted)\n"
        "  a: WriteTargets app r1=stable (only what is live is scraped)"
    )


def test_a_scale_that_failed_goes_back_to_as_many_as_there_were() -> None:
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
        "back:\n"
        "  a: WriteRelease app r1 x2 (it has 3 replicas)\n"
        "  a: PointTraffic app r1 (it has other replicas)\n"
        "  a: VerifyOutside app r1 (only what answers from outside is live)\n"
        "  a: AwaitDrained (requests in flight finish first)\n"
        "  a: ScaleDown app-r1-3 (2 are wanted)"
    )


def test_an_image_that_no_record_names_goes_and_no_other_service_s() -> None:
    host = live("a", 1)
    lost, other = factories.image("lost"), factories.image("lost", "shop")
    (step,) = plan_deploy(
        desired(1), FleetState((replace(host, images=host.images | {lost, other}),))
    ).steps[-1:]
    assert getattr(step, "images", None) == (lost,)


def test_the_image_of_an_edge_goes_once_no_release_was_served_through_it() -> None:
    old, kept = factories.image("edge old", "edge"), factories.stacks("kept")[0]
    host = live("a", 1)
    other = replace(release(2), service="shop", edge=kept)
    host = replace(host, images=host.images | {old, kept.image}, releases=(*host.releases, other))
    (step,) = plan_deploy(desired(1), FleetState((host,))).steps[-1:]
    assert getattr(step, "images", None) == (old,)


# The way back.


def back(to: int, before: tuple[HostState, ...], now: tuple[HostState, ...]) -> str:
    return text(
        plan_revert(desired(2), release(to) if to else None, FleetState(before), FleetState(now))
    )


def test_the_way_back_from_a_candidate_is_to_remove_it() -> None:
    before = (live("a", 1),)
    now = routed(running(before[0], 2), 1, 2, candidate=2)
    assert back(1, before, (replace(now, targets=(("app", "other"),)),)) == (
        "back:\n"
        "  a: SettleEdge (only r1 is served)\n"
        "  a: AwaitDrained (requests in flight finish first)\n"
        "  a: StopRelease app r2 (it never went live)\n"
        "  a: WriteTargets app r1=stable (only what is live is scraped)\n"
        "  a: Prune r2 (5 releases are kept, and none that never went live)"
    )


def test_the_way_back_from_a_switch_is_a_switch() -> None:
    before = (live("a", 1),)
    now = routed(running(before[0], 2), 2, 1, candidate=2)
    assert back(1, before, (now,)) == (
        "back:\n"
        "  a: AwaitHealthy app r1 x2 (no replica gets traffic before it is healthy)\n"
        "  a: WriteTargets app r2=stable r1=candidate (a candidate is seen before it gets traffic)\n"
        "  a: PointTraffic app r1 (r2 is live)\n"
        "  a: VerifyOutside app r1 (only what answers from outside is live)\n"
        "  a: SettleEdge (only r1 is served)\n"
        "  a: AwaitDrained (requests in flight finish first)\n"
        "  a: StopRelease app r2 (it was live before)\n"
        "  a: WriteTargets app r1=stable (only what is live is scraped)\n"
        "  a: Prune r2 (5 releases are kept, and none that never went live)"
    )


def test_a_host_that_had_nothing_is_cleared_and_stops_no_other() -> None:
    before = (live("a", 1), bare("b"))
    now = (live("a", 1), routed(running(ready("b"), 2), 2, candidate=2))
    plan = plan_revert(desired(2), release(1), FleetState(before), FleetState(now))
    assert text(plan) == (
        "back:\n"
        "  b: SettleEdge (no release was ever verified)\n"
        "  b: AwaitDrained (requests in flight finish first)\n"
        "  b: StopRelease app r2 (it never went live)\n"
        "  b: Prune r2 (it never went live)"
    )
    assert all(phase.independent for phase in plan.phases)


def test_an_ailing_live_release_is_not_mended_on_the_way_back() -> None:
    before = live("a", 1)
    ill = replace(before, containers=before.containers[:1])
    assert back(1, (ill,), (ill,)) == ""


def test_a_part_that_was_lost_is_started_and_one_that_never_ran_is_not() -> None:
    before = replace(live("a", 1), stacks=(("edge", "old"),))
    assert back(1, (before,), (replace(before, stacks=()),)) == (
        "back:\n"
        "  a: StartStack edge (it doesn't run)\n"
        "  a: VerifyOutside app r1 (only what answers from outside is live)"
    )


def test_a_revert_starts_the_watchdog_only_if_neither_it_nor_what_it_replaces_runs() -> None:
    before = replace(live("a", 1), stacks=(("edge", "old"), ("keeper", "old")))
    neither = replace(before, stacks=(("edge", "old"),))
    stopped = replace(neither, stopped_stacks=(("keeper", "old"),))
    start = (
        "  a: StartStack watchdog (it doesn't run)\n"
        "  a: VerifyOutside app r1 (only what answers from outside is live)"
    )
    assert back(1, (before,), (before,)) == ""
    assert back(1, (before,), (neither,)) == f"back:\n{start}"
    assert back(1, (before,), (stopped,)) == (
        f"back:\n  a: RemoveStack keeper (replaced by the watchdog)\n{start}"
    )


def test_the_way_back_is_to_what_was_last_verified_anywhere() -> None:
    ahead = recorded(live("a", 2), (2, 2))
    assert release_before("app", FleetState((live("b", 1), ahead))) == NEW
    assert release_before("app", FleetState((recorded(live("a", 2), (3, 1)), ahead))) == OLD


def test_the_way_back_without_any_verified_is_to_the_newest_live() -> None:
    unproven = replace(live("a", 2), ledger=())
    assert release_before("app", FleetState((unproven, bare("b")))) == NEW
    assert release_before("app", FleetState((bare("a"), bare("b")))) == ""


# Adoption.


def adopted(*hosts: HostState, sequence: int = 2, replicas: int = 2) -> Release | None:
    wish, found = factories.service(replicas=replicas), release(sequence)
    return adopt(wish, found.image, found.config_hash, FleetState(hosts))


def test_what_runs_somewhere_is_adopted() -> None:
    assert adopted(bare("a"), running(ready("b"), 2, count=1)) == release(2)


def test_a_record_without_replicas_is_not_adopted() -> None:
    assert adopted(running(ready("a"), 2, count=0)) is None


def test_another_image_or_configuration_is_not_adopted() -> None:
    host = running(ready("a"), 2)
    assert adopted(host, sequence=3) is None
    changed = replace(host, releases=(replace(release(2), config_hash="sha256:other"),))
    assert adopted(changed) is None


def test_another_count_is_the_same_release_at_another_scale() -> None:
    assert adopted(running(ready("a"), 2), replicas=3) == release(2, replicas=3)


def test_the_newest_of_several_is_adopted() -> None:
    again = replace(release(3), image=release(2).image, id=NEWER)
    host = running(ready("a"), 2)
    twin = tuple(replace(c, name=f"{c.name}-", release=NEWER) for c in host.containers)
    both = replace(host, releases=(*host.releases, again), containers=(*host.containers, *twin))
    assert adopted(both) == again
