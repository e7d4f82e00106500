"""Performs one step of a plan on a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from deploy.core.analysis.verdict import Verdict, dump_verdict
from deploy.core.commands import docker, paths
from deploy.core.commands.docker import PULL_DEADLINE_S
from deploy.core.commands.files import overlay, place, remove_folders, tar_of
from deploy.core.config import Environment, HostConfig, Service
from deploy.core.images.registry_failures import RegistryFailure, explain, failure_of
from deploy.core.planning.steps import (
    AnalyseRelease,
    AwaitDrained,
    AwaitHealthy,
    BeginDraining,
    DropHold,
    EndDraining,
    KeepLogs,
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
from deploy.core.ports import Clock, Host, ImageRegistry, MetricsQuery, Probe
from deploy.core.stacks.prometheus import render_targets
from deploy.core.state.hold import Hold, dump_hold
from deploy.core.state.ledger import Entry, EntryEvent
from deploy.core.state.release import Release, dump_release
from deploy.errors import RegistryAuthError, RegistryError
from deploy.run.hosts.locked_host import LockedHost, last_line
from deploy.run.steps import (
    draining,
    edges,
    replicas,
    stacks,
)
from deploy.run.steps.analyse import AnalysisContext, AnalysisScope, analyse_release
from deploy.run.steps.closed import await_closed
from deploy.run.steps.kept_logs import keep_logs
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
    """What performing a step needs, besides the locked host.

    `hosts` are all hosts of the environment, by name. `entry` returns the ledger entry of the operation if it ended
    live now. `say` gets a line for people, about a host or (None) about all; `detail` gets what only some ask for.
    """

    environment: Environment
    service: Service
    registry: ImageRegistry
    probe: Probe
    clock: Clock
    hosts: Mapping[str, Host]
    metrics: MetricsQuery | None
    entry: Callable[[], Entry]
    say: Callable[[str | None, str], None]
    secrets: SecretResolver = field(default_factory=SecretResolver)
    detail: Callable[[str], None] = lambda text: None

    def host(self, name: str) -> HostConfig:
        """Returns a host's configuration. Raises StopIteration for an unknown name."""
        return next(host for host in self.environment.hosts if host.name == name)


def perform(step: Step, locked: LockedHost, context: StepContext) -> None:
    """Performs one step to its end. Raises a ShipError that says what failed."""
    host, clock = locked.host, context.clock
    edge = context.environment.edge
    match step:
        case PrepareHost():
            locked.run_checked(
                docker.create_network(context.environment.edge.subnet), "creating the network"
            )
        case PullImages(images=images):
            _pull(locked, context.registry, images)
        case WriteRelease(release=release):
            _write_release(locked, release)
        case WriteSecrets(release=release):
            context.secrets.write(locked, release)
        case StartStack(stack=stack):
            stacks.start(locked, clock, stack, preview_port=edge.preview_port)
        case StopStack(name=name, keys=keys):
            stacks.stop(locked, name, keys)
        case RemoveStack(name=name):
            stacks.remove(locked, name)
        case ReplaceUnhealthy(names=names):
            locked.run_checked(docker.remove_containers(names), f"removing {' '.join(names)}")
        case StartReplicas(release=release):
            replicas.start(locked, release)
        case AwaitHealthy():
            replicas.await_healthy(locked, clock, step)
        case WriteTargets(service=service, targets=targets):
            _write_targets(locked, service, targets)
        case (
            OfferCandidate(route=route)
            | ShareTraffic(route=route)
            | PointTraffic(route=route)
            | SettleEdge(route=route)
        ):
            edges.set_route(locked, clock, route, edge)
        case VerifyPreview():
            verify_preview(host, clock, step, edge.preview_port)
        case SetMaintenance(route=route):
            edges.set_route(locked, clock, route, edge)
            if route.maintenance:
                url = context.host(host.name).url
                await_closed(
                    public_version(context.probe, url, route), clock, f"{host.name} at {url}"
                )
        case VerifyOutside():
            url = context.host(host.name).url
            verify_outside(host, clock, step, context.probe, url, edge.preview_port)
        case WatchRelease():
            context.say(host.name, watch(host, clock, context.service, step).text)
        case WriteHold(hold=hold):
            _write_hold(locked, hold)
        case DropHold(service=service):
            locked.run_checked(
                remove_folders([paths.hold_file(service)]), f"ending the hold on {service}"
            )
        case RunTask(release=release):
            replicas.check_files(host, release)
            run_task(locked, step, context.entry(), clock)
        case AnalyseRelease():
            _analyse(locked, context, step)
        case RecordLive():
            locked.record(context.entry())
        case AwaitDrained(deadline_s=deadline_s):
            if not draining.wait(locked, clock, step, context.entry()):
                text = f"connections are still open after {deadline_s:g} s; they end with their replicas"
                context.say(host.name, text)
        case BeginDraining():
            draining.begin(locked, step, context.entry().turn)
        case EndDraining():
            draining.end(locked, step)
        case KeepLogs():
            keep_logs(
                locked, step, context.secrets.redact, lambda text: context.say(host.name, text)
            )
        case StopRelease(service=service, release=identity):
            locked.run_checked(
                docker.stop_replicas(service, identity),
                f"stopping {service} {identity}",
                timeout_s=180,
            )
        case ScaleDown(names=names):
            what = f"stopping {' '.join(names)}"
            locked.run_checked(docker.stop_containers(names), what, timeout_s=180)
        case Prune(service=service, releases=identities, images=images):
            _prune(locked, service, identities, images)
        case _:
            assert_never(step)


def _analyse(locked: LockedHost, context: StepContext, step: AnalyseRelease) -> None:
    """Analyses a release and records the last verdict in the ledger, where reports find it."""
    scope = AnalysisScope(
        hosts=tuple(context.hosts[name] for name in step.hosts),
        service=context.service,
        release=step.release,
        previous=step.previous,
        preview_port=context.environment.edge.preview_port,
        stage=step.stage,
        watch_s=step.watch_s,
    )

    def record(verdict: Verdict) -> None:
        what = dump_verdict(verdict, step.stage)
        locked.record(replace(context.entry(), event=EntryEvent.JUDGED, outcome="", what=what))

    ports = AnalysisContext(
        context.metrics, context.clock, lambda text: context.say(None, text), record, context.detail
    )
    analyse_release(scope, ports)


def _pull(locked: LockedHost, registry: ImageRegistry, images: tuple[str, ...]) -> None:
    name, user, password = registry.login()
    argv = docker.pull(user, name, images)
    what = f"pulling {' '.join(images)}"
    done = locked.run(argv, what, stdin=password.encode() + b"\n", timeout_s=PULL_DEADLINE_S)
    if done.code != 0:
        failed = "the registry login" if done.code == docker.LOGIN_FAILED else "pulling"
        raise _registry_error(f"{locked.name}: {failed}", name, last_line(done))


def _registry_error(what: str, registry: str, reason: str) -> RegistryError:
    failure = failure_of(reason)
    explanation = explain(failure, registry)
    error = RegistryAuthError if failure is RegistryFailure.LOGIN else RegistryError
    return error(
        f"{what} failed: {explanation.what}: {reason}",
        hint=explanation.hint,
    )


def _write_release(locked: LockedHost, release: Release) -> None:
    # The record comes last: if it is there, all files are, even if tar unpacked an archive that was cut off.
    files = (
        ("compose.yml", release.compose, 0o644),
        ("replica.yml", release.replica, 0o644),
        (".env", f"IMAGE={release.image}\n", 0o644),
        ("release.json", dump_release(release) + "\n", 0o644),
    )
    folder = paths.release_folder(release.service, release.id)
    locked.run_checked(place(folder), f"writing {release.project}", stdin=tar_of(files))


def _write_hold(locked: LockedHost, hold: Hold) -> None:
    tar = tar_of((("hold.json", dump_hold(hold) + "\n", 0o600),))
    folder = paths.service_folder(hold.service)
    locked.run_checked(overlay(folder), f"holding {hold.service} {hold.release}", stdin=tar)


def _write_targets(
    locked: LockedHost, service: str, targets: tuple[tuple[Release, str], ...]
) -> None:
    text = render_targets(locked.name, targets)
    tar = tar_of(((f"{service}.json", text, 0o644),))
    locked.run_checked(overlay(paths.TARGETS), f"writing {service}'s scrape targets", stdin=tar)


def _prune(
    locked: LockedHost, service: str, releases: tuple[str, ...], images: tuple[str, ...]
) -> None:
    folders = [paths.release_folder(service, release) for release in releases]
    locked.run_checked(remove_folders(folders), f"removing {' '.join(releases)}")
    if images:
        # An image may be in use or gone already, so failures are ignored.
        locked.run(docker.remove_images(images), "removing old images")
