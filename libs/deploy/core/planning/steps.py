"""The steps of a plan, as data: what to do on which host, and why.

`subject` is what a step does, in the words of its plan line. A new kind of step is a class here, listed in `Step`, and
a case in `run.steps.perform`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deploy.core.analysis.stage import Stage
from deploy.core.config import Task
from deploy.core.state.draining import DrainingReplica
from deploy.core.state.edge import EdgeRoute
from deploy.core.state.hold import Hold
from deploy.core.state.release import Release
from deploy.core.state.stack import Stack


class TaskName(StrEnum):
    """When a task of a service runs."""

    BEFORE_SWITCH = "before_switch"
    AFTER_SWITCH = "after_switch"


ANALYSED_WITH = {
    Stage.PREVIEW: "on the preview route",
    Stage.CANARY: "with a share of the users",
    Stage.USERS: "with all users",
}


@dataclass(frozen=True)
class PrepareHost:
    """Creates the network that the edge and replicas share."""

    host: str
    because: str

    @property
    def subject(self) -> str:
        return "create the network"


@dataclass(frozen=True)
class PullImages:
    """Pulls images by digest, with a registry login that ends with the pull."""

    host: str
    images: tuple[str, ...]
    because: str

    @property
    def subject(self) -> str:
        return f"pull {' '.join(_short(image) for image in self.images)}"


@dataclass(frozen=True)
class WriteRelease:
    """Writes the release's folder: compose files and record."""

    host: str
    release: Release
    because: str

    @property
    def subject(self) -> str:
        return f"write release {self.release.service} {self.release.id} with {_count(self.release.replicas)}"


@dataclass(frozen=True)
class WriteSecrets:
    """Writes the current values of a release's secrets where only its replicas can read them."""

    host: str
    release: Release
    because: str

    @property
    def subject(self) -> str:
        pins = " ".join(f"{pin.name}@{pin.version[:13]}" for pin in self.release.secrets)
        return f"write secrets {pins} of {self.release.service} {self.release.id}"


@dataclass(frozen=True)
class StartStack:
    """Starts a stack, such as the edge or the host's Prometheus; a new edge starts beside the running one."""

    host: str
    stack: Stack
    because: str

    @property
    def subject(self) -> str:
        return f"start stack {self.stack.name}"


@dataclass(frozen=True)
class StopStack:
    """Stops and removes stacks gracefully, once another one serves in their place."""

    host: str
    name: str
    keys: tuple[str, ...]
    because: str

    @property
    def subject(self) -> str:
        return f"stop stack {' '.join([self.name, *self.keys])}"


@dataclass(frozen=True)
class RemoveStack:
    """Stops and removes a stack of an earlier version, with its files."""

    host: str
    name: str
    because: str

    @property
    def subject(self) -> str:
        return f"remove stack {self.name}"


@dataclass(frozen=True)
class ReplaceUnhealthy:
    """Removes replicas that won't become healthy, so that StartReplicas starts new ones."""

    host: str
    names: tuple[str, ...]
    because: str

    @property
    def subject(self) -> str:
        return f"remove unhealthy {' '.join(self.names)}"


@dataclass(frozen=True)
class StartReplicas:
    """Starts those of a release's replicas that don't run yet; other releases keep running."""

    host: str
    release: Release
    because: str

    @property
    def subject(self) -> str:
        return f"start {_count(self.release.replicas)} of {self.release.service} {self.release.id}"


@dataclass(frozen=True)
class AwaitHealthy:
    """Waits until every replica has answered well for `min_healthy_s`; fails early when one keeps crashing. In seconds.

    Each replica must become healthy within `startup_deadline_s`, and all must be so at once within `deadline_s`. With
    `engine_check` the engine's own health check must have passed too, which it runs for the first time a second after
    the start.
    """

    host: str
    release: Release
    startup_deadline_s: float
    deadline_s: float
    min_healthy_s: float
    health_path: str
    engine_check: bool = True
    because: str | None = None

    @property
    def subject(self) -> str:
        count = self.release.replicas
        return f"wait until {_count(count)} {'is' if count == 1 else 'are'} healthy"


@dataclass(frozen=True)
class WriteTargets:
    """Writes a service's scrape targets for the host's Prometheus: pairs of a release and its track."""

    host: str
    service: str
    targets: tuple[tuple[Release, str], ...]
    because: str

    @property
    def subject(self) -> str:
        targets = ", ".join(f"{release.id} as {track}" for release, track in self.targets)
        return f"scrape {self.service} {targets or 'no longer'}"


@dataclass(frozen=True)
class OfferCandidate:
    """Adds the candidate's upstream to the edge, on the preview route only."""

    host: str
    route: EdgeRoute
    release: Release
    because: str

    @property
    def subject(self) -> str:
        return f"offer {self.release.service} {self.release.id} on the preview route"


@dataclass(frozen=True)
class VerifyPreview:
    """Requests the preview route until every replica of the candidate answered correctly `successes` times in a row.

    It requests `/version`, then `health_path` as the replicas' own health check does.
    """

    host: str
    release: Release
    route: EdgeRoute
    successes: int
    health_path: str
    because: str | None = None

    @property
    def subject(self) -> str:
        return f"check that {_all(self.release)} on the preview route"


@dataclass(frozen=True)
class PointTraffic:
    """Makes another upstream live at the edge; done when new connections reach it."""

    host: str
    route: EdgeRoute
    release: Release
    because: str

    @property
    def subject(self) -> str:
        return f"point traffic at {self.release.service} {self.release.id}"


@dataclass(frozen=True)
class VerifyOutside:
    """Requests the public URL until every replica has answered with this release and config hash."""

    host: str
    release: Release
    route: EdgeRoute
    because: str | None = None

    @property
    def subject(self) -> str:
        return f"check that {_all(self.release)} through the edge"


@dataclass(frozen=True)
class WatchRelease:
    """Watches a live release under its users' requests for `watch_s` seconds; fails as soon as the release does.

    It fails when a replica ends, becomes unhealthy, or too many answers are errors.
    """

    host: str
    release: Release
    watch_s: float
    because: str

    @property
    def subject(self) -> str:
        return f"watch {self.release.service} {self.release.id} for {self.watch_s:g} s"


@dataclass(frozen=True)
class WriteHold:
    """Keeps other deploys of the service away from a verified candidate until it is promoted, aborted or expires."""

    host: str
    hold: Hold
    because: str

    @property
    def subject(self) -> str:
        return f"hold candidate {self.hold.service} {self.hold.release}"


@dataclass(frozen=True)
class DropHold:
    """Ends the hold, so that others can deploy the service again."""

    host: str
    service: str
    because: str

    @property
    def subject(self) -> str:
        return f"end the hold on {self.service}"


@dataclass(frozen=True)
class RunTask:
    """Runs a task of the release to its end, in the release's image and with its configuration."""

    host: str
    release: Release
    name: TaskName
    task: Task
    because: str

    @property
    def subject(self) -> str:
        return f"run task {self.name} of {self.release.service} {self.release.id}"


@dataclass(frozen=True)
class ShareTraffic:
    """Sends a percentage of the users' requests to the candidate; the rest still go to the live release."""

    host: str
    route: EdgeRoute
    release: Release
    percent: int
    because: str

    @property
    def subject(self) -> str:
        return f"send {self.percent} % of traffic to {self.release.service} {self.release.id}"


@dataclass(frozen=True)
class AnalyseRelease:
    """Compares a release with `previous` over all of `hosts` together; None: there is nothing to compare with.

    `watch_s` is how many seconds to wait for requests before the first attempt.
    """

    host: str
    hosts: tuple[str, ...]
    release: Release
    previous: Release | None
    stage: Stage
    watch_s: float
    because: str

    @property
    def subject(self) -> str:
        against = f" against {self.previous.id}" if self.previous else ""
        return (
            f"analyse {self.release.service} {self.release.id}{against} {ANALYSED_WITH[self.stage]}"
        )


@dataclass(frozen=True)
class RecordLive:
    """Records in the host's ledger that the release was verified from outside: rollbacks may now go to it."""

    host: str
    release: Release
    because: str

    @property
    def subject(self) -> str:
        return f"record {self.release.service} {self.release.id} as live"


@dataclass(frozen=True)
class SettleEdge:
    """Removes upstreams from the edge that are no longer served."""

    host: str
    route: EdgeRoute
    because: str

    @property
    def subject(self) -> str:
        return f"remove unused upstreams of {self.route.service}"


@dataclass(frozen=True)
class SetMaintenance:
    """Turns a service's maintenance page on or off; done when new connections see the change."""

    host: str
    route: EdgeRoute
    because: str

    @property
    def subject(self) -> str:
        turn = "on" if self.route.maintenance else "off"
        return f"turn {turn} maintenance of {self.route.service}"


@dataclass(frozen=True)
class AwaitDrained:
    """Waits until the nginx workers of earlier configurations have ended, at most `deadline_s` seconds."""

    host: str
    deadline_s: float
    because: str

    @property
    def subject(self) -> str:
        return "wait for connections to drain"


@dataclass(frozen=True)
class KeepLogs:
    """Saves the end of the logs of replicas that are about to be removed, and removes the logs of other releases.

    It never fails a rollout: a host that can't save them says so and goes on.
    """

    host: str
    service: str
    release: str
    names: tuple[str, ...]
    dropped: tuple[str, ...]
    because: str

    @property
    def subject(self) -> str:
        return f"keep the logs of {self.service} {self.release}"


@dataclass(frozen=True)
class BeginDraining:
    """Leaves replicas to the host, which stops them once their connections are closed, at most after `drain_s`."""

    host: str
    service: str
    release: str
    replicas: tuple[DrainingReplica, ...]
    drain_s: float
    because: str

    @property
    def subject(self) -> str:
        count = _count(len(self.replicas))
        return (
            f"leave {count} of {self.service} {self.release} to drain for up to {self.drain_s:g} s"
        )


@dataclass(frozen=True)
class EndDraining:
    """Takes replicas back from the host: it stops them no more. Those that it has signalled are removed."""

    host: str
    service: str
    release: str
    because: str

    @property
    def subject(self) -> str:
        return f"end the drain of {self.service} {self.release}"


@dataclass(frozen=True)
class StopRelease:
    """Stops and removes a release's replicas gracefully; its folder stays."""

    host: str
    service: str
    release: str
    because: str

    @property
    def subject(self) -> str:
        return f"stop release {self.service} {self.release}"


@dataclass(frozen=True)
class ScaleDown:
    """Stops and removes surplus replicas of a release gracefully."""

    host: str
    names: tuple[str, ...]
    because: str

    @property
    def subject(self) -> str:
        return f"stop surplus {' '.join(self.names)}"


@dataclass(frozen=True)
class Prune:
    """Removes the folders of these releases and the images that nothing else uses."""

    host: str
    service: str
    releases: tuple[str, ...]
    images: tuple[str, ...]
    because: str

    @property
    def subject(self) -> str:
        if not self.releases:
            return "remove unused images"
        plural = "s" if len(self.releases) > 1 else ""
        return f"remove old release{plural} {' '.join(self.releases)}"


Step = (
    PrepareHost
    | PullImages
    | WriteRelease
    | WriteSecrets
    | StartStack
    | StopStack
    | RemoveStack
    | ReplaceUnhealthy
    | StartReplicas
    | AwaitHealthy
    | WriteTargets
    | OfferCandidate
    | VerifyPreview
    | PointTraffic
    | VerifyOutside
    | WatchRelease
    | WriteHold
    | DropHold
    | RunTask
    | ShareTraffic
    | AnalyseRelease
    | RecordLive
    | SettleEdge
    | SetMaintenance
    | AwaitDrained
    | KeepLogs
    | BeginDraining
    | EndDraining
    | StopRelease
    | ScaleDown
    | Prune
)


def name_of(step: Step) -> str:
    """Returns the identifier of a kind of step in JSON documents and rollout logs: the name of its class."""
    return type(step).__name__


def describe(step: Step) -> str:
    """Returns a step as one line: host, subject and, unless the subject explains itself, the reason."""
    reason = f" ({step.because})" if step.because else ""
    return f"{step.host}: {step.subject}{reason}"


def _count(replicas: int) -> str:
    return f"{replicas} replica{'' if replicas == 1 else 's'}"


def _all(release: Release) -> str:
    count = release.replicas
    return "the replica answers" if count == 1 else f"all {count} replicas answer"


def _short(image: str) -> str:
    name, _, digest = image.partition("@sha256:")
    return f"{name.rsplit('/', 1)[-1]}@{digest[:12]}"
