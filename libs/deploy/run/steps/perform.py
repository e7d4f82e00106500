"""Turns one step into what happens on a host; never decides which step comes next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from deploy.core.analysis.verdict import Verdict, dump_verdict
from deploy.core.commands import docker, paths
from deploy.core.commands.docker import PULL_DEADLINE_S
from deploy.core.commands.files import overlay, place, remove_folders, tar_of
from deploy.core.config import Environment, HostConfig, Service
from deploy.core.planning.steps import (
    AnalyseRelease,
    AwaitDrained,
    AwaitHealthy,
    DropHold,
    OfferCandidate,
    PointTraffic,
    PrepareHost,
    Prune,
    PullImages,
    RecordLive,
    RemoveStack,
    ReplaceUnhealthy,
    RunTask,
    ScaleDown,
    SetMaintenance,
    SettleEdge,
    ShareTraffic,
    StartReplicas,
    StartStack,
    Step,
    StopRelease,
    StopStack,
    VerifyOutside,
    VerifyPreview,
    WatchRelease,
    WriteHold,
    WriteRelease,
    WriteSecrets,
    WriteTargets,
)
from deploy.core.ports import Clock, Host, ImageRegistry, Judge, MetricsQuery, Probe
from deploy.core.stacks.prometheus import render_targets
from deploy.core.state.hold import Hold, dump_hold
from deploy.core.state.ledger import Entry
from deploy.core.state.release import Release, dump_release
from deploy.errors import RegistryAuthError, RegistryError
from deploy.run.hosts.locked_host import LockedHost, last_line
from deploy.run.steps import (
    edges,
    replicas,
    stacks,
)
from deploy.run.steps.analyse import (
    AnalysisContext,
    Comparison,
    judge_release,
)
from deploy.run.steps.closed import await_closed
from deploy.run.steps.secrets import SecretResolver
from deploy.run.steps.tasks import run_task
from deploy.run.steps.verify import (
    public_version,
    verify_outside,
    verify_preview,
)
from deploy.run.steps.watch import watch


@dataclass(frozen=True)
class StepContext:
    """What performing needs beside the host: the environment, where images come from, eyes, a clock."""

    environment: Environment
    service: Service
    registry: ImageRegistry
    probe: Probe
    clock: Clock
    judge: Judge
    hosts: Mapping[str, Host]
    metrics: MetricsQuery | None
    entry: Callable[[], Entry]
    tell: Callable[[str, str], None]
    vault: SecretResolver = field(default_factory=SecretResolver)

    def host(self, name: str) -> HostConfig:
        """Returns a host's configuration. Raises StopIteration for an unknown name."""
        return next(host for host in self.environment.hosts if host.name == name)


def perform(step: Step, held: LockedHost, context: StepContext) -> None:
    """Does one step, to its end. Raises a ShipError that says what failed."""
    host, clock = held.host, context.clock
    edge = context.environment.edge
    match step:
        case PrepareHost():
            held.run_checked(
                docker.create_network(context.environment.edge.subnet), "making the network"
            )
        case PullImages(images=images):
            _pull(held, context.registry, images)
        case WriteRelease(release=release):
            _write_release(held, release)
        case WriteSecrets(release=release):
            context.vault.deliver(held, release)
        case StartStack(stack=stack):
            stacks.start(held, clock, stack, preview_port=edge.preview_port)
        case StopStack(name=name, keys=keys):
            stacks.retire(held, name, keys)
        case RemoveStack(name=name):
            stacks.remove(held, name)
        case ReplaceUnhealthy(names=names):
            held.run_checked(docker.remove_containers(names), f"removing {' '.join(names)}")
        case StartReplicas(release=release):
            replicas.judge_files(host, release)
            held.run_checked(
                docker.start_replicas(release), f"starting {release.project}", timeout_s=120
            )
        case AwaitHealthy():
            replicas.await_healthy(host, clock, step)
        case WriteTargets(service=service, targets=targets):
            _write_targets(held, service, targets)
        case (
            OfferCandidate(route=route)
            | ShareTraffic(route=route)
            | PointTraffic(route=route)
            | SettleEdge(route=route)
        ):
            edges.set_route(held, clock, route, edge)
        case VerifyPreview():
            verify_preview(host, clock, step, edge.preview_port)
        case SetMaintenance(route=route):
            edges.set_route(held, clock, route, edge)
            if route.maintenance:
                url = context.host(host.name).url
                await_closed(
                    public_version(context.probe, url, route), clock, f"{host.name} at {url}"
                )
        case VerifyOutside():
            url = context.host(host.name).url
            verify_outside(host, clock, step, context.probe, url, edge.preview_port)
        case WatchRelease():
            verdict = watch(host, clock, context.judge, context.service, step)
            for line in verdict.evidence:
                context.tell(host.name, line)
        case WriteHold(hold=hold):
            _write_hold(held, hold)
        case DropHold(service=service):
            held.run_checked(
                remove_folders([paths.hold_file(service)]), f"{service} is held no more"
            )
        case RunTask(release=release):
            replicas.judge_files(host, release)
            run_task(held, step, context.entry(), clock)
        case AnalyseRelease():
            _analyse(held, context, step)
        case RecordLive():
            held.record(context.entry())
        case AwaitDrained(deadline_s=deadline_s):
            edges.await_drained(host, clock, deadline_s=deadline_s)
        case StopRelease(service=service, release=identity):
            held.run_checked(
                docker.stop_replicas(service, identity),
                f"stopping {service} {identity}",
                timeout_s=180,
            )
        case ScaleDown(names=names):
            what = f"stopping {' '.join(names)}"
            held.run_checked(docker.retire_containers(names), what, timeout_s=180)
        case Prune(service=service, releases=identities, images=images):
            _prune(held, service, identities, images)
        case _:
            assert_never(step)


def _analyse(held: LockedHost, context: StepContext, step: AnalyseRelease) -> None:
    """Judges, and writes the last verdict into the ledger, whichever it is: it is what a report shows."""
    case = Comparison(
        hosts=tuple(context.hosts[name] for name in step.hosts),
        service=context.service,
        release=step.release,
        previous=step.previous,
        preview_port=context.environment.edge.preview_port,
        before_switch=step.stage != "users",
        watch_s=step.watch_s,
        conditions=step.stage != "trial",
    )

    def record(verdict: Verdict) -> None:
        what = dump_verdict(verdict, step.stage)
        held.record(replace(context.entry(), event="judged", outcome="", what=what))

    bench = AnalysisContext(
        context.metrics, context.clock, lambda text: context.tell("", text), record
    )
    judge_release(case, bench)


def _pull(held: LockedHost, registry: ImageRegistry, images: tuple[str, ...]) -> None:
    name, user, password = registry.login()
    argv = docker.pull(user, name, images)
    what = f"pulling {' '.join(images)}"
    done = held.run(argv, what, stdin=password.encode() + b"\n", timeout_s=PULL_DEADLINE_S)
    if done.code == docker.LOGIN_REFUSED:
        raise RegistryAuthError(f"{held.name}: {name} refused the login: {last_line(done)}")
    if done.code != 0:
        raise RegistryError(
            f"{held.name}: pulling failed: {last_line(done)}", hint="what ran before still runs"
        )


def _write_release(held: LockedHost, release: Release) -> None:
    # The record comes last: where it is, all is, whatever tar makes of an archive that was cut off.
    files = (
        ("compose.yml", release.compose, 0o644),
        ("replica.yml", release.replica, 0o644),
        (".env", f"IMAGE={release.image}\n", 0o644),
        ("release.json", dump_release(release) + "\n", 0o644),
    )
    folder = paths.release_folder(release.service, release.id)
    held.run_checked(place(folder), f"writing {release.project}", stdin=tar_of(files))


def _write_hold(held: LockedHost, hold: Hold) -> None:
    tar = tar_of((("hold.json", dump_hold(hold) + "\n", 0o644),))
    folder = paths.service_folder(hold.service)
    held.run_checked(overlay(folder), f"holding {hold.service} {hold.release}", stdin=tar)


def _write_targets(
    held: LockedHost, service: str, targets: tuple[tuple[Release, str], ...]
) -> None:
    text = render_targets(held.name, targets)
    tar = tar_of(((f"{service}.json", text, 0o644),))
    held.run_checked(overlay(paths.TARGETS), f"writing {service}'s scrape targets", stdin=tar)


def _prune(
    held: LockedHost, service: str, releases: tuple[str, ...], images: tuple[str, ...]
) -> None:
    folders = [paths.release_folder(service, release) for release in releases]
    held.run_checked(remove_folders(folders), f"removing {' '.join(releases)}")
    if images:
        # One that is in use, or gone already, is no failure.
        held.run(docker.remove_images(images), "removing old images")
