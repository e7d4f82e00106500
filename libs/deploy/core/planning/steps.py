"""The steps a plan is made of, as data; each says on which host and because of what; never does anything."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.core.config import Task
from deploy.core.state.edge import EdgeRoute
from deploy.core.state.hold import Hold
from deploy.core.state.release import Release
from deploy.core.state.stack import Stack


@dataclass(frozen=True)
class PrepareHost:
    """Makes the folders and the network."""

    host: str
    because: str


@dataclass(frozen=True)
class PullImages:
    """Pulls by digest, with a login that lives no longer than the pull."""

    host: str
    images: tuple[str, ...]
    because: str


@dataclass(frozen=True)
class WriteRelease:
    """Writes the release's folder aside and renames it."""

    host: str
    release: Release
    because: str


@dataclass(frozen=True)
class WriteSecrets:
    """Writes today's values of the secrets that a release names, where its replicas alone can read them."""

    host: str
    release: Release
    because: str


@dataclass(frozen=True)
class StartStack:
    """Starts the edge or the host's Prometheus with these files; an edge beside the one that runs."""

    host: str
    stack: Stack
    because: str


@dataclass(frozen=True)
class StopStack:
    """Stops and removes parts of these keys, gracefully: another one serves beside them."""

    host: str
    name: str
    keys: tuple[str, ...]
    because: str


@dataclass(frozen=True)
class RemoveStack:
    """Stops and removes a stack of an earlier version, with its files."""

    host: str
    name: str
    because: str


@dataclass(frozen=True)
class ReplaceUnhealthy:
    """Ends and removes replicas that are of no use, so that they are started anew."""

    host: str
    names: tuple[str, ...]
    because: str


@dataclass(frozen=True)
class StartReplicas:
    """Starts a release's replicas beside whatever runs."""

    host: str
    release: Release
    because: str


@dataclass(frozen=True)
class AwaitHealthy:
    """Waits until every replica has been healthy for a while; ends early when one crash-loops. In seconds.

    Each has to be healthy once within `startup_deadline_s`, and all at the same time within `deadline_s`.
    """

    host: str
    release: Release
    startup_deadline_s: float
    deadline_s: float
    min_healthy_s: float
    because: str


@dataclass(frozen=True)
class WriteTargets:
    """Tells the host's Prometheus which replicas there are: (release, its track) pairs."""

    host: str
    service: str
    targets: tuple[tuple[Release, str], ...]
    because: str


@dataclass(frozen=True)
class OfferCandidate:
    """Adds the candidate's upstream to the edge, on the preview route only."""

    host: str
    route: EdgeRoute
    release: Release
    because: str


@dataclass(frozen=True)
class VerifyPreview:
    """Asks the preview route until every replica of the candidate has answered well `successes` times in a row.

    What is asked for is `/version`, and `health_path` as a replica's own health check asks for it.
    """

    host: str
    release: Release
    route: EdgeRoute
    successes: int
    health_path: str
    because: str


@dataclass(frozen=True)
class PointTraffic:
    """Names another upstream at the edge; done when fresh connections are answered by it."""

    host: str
    route: EdgeRoute
    release: Release
    because: str


@dataclass(frozen=True)
class VerifyOutside:
    """Asks the public URL until every replica has answered with this release and config hash."""

    host: str
    release: Release
    route: EdgeRoute
    because: str


@dataclass(frozen=True)
class WatchRelease:
    """Watches a release under its users' requests for a while; ends early when it fails. Time in seconds.

    It fails when a replica ends, or the judge says so.
    """

    host: str
    release: Release
    watch_s: float
    because: str


@dataclass(frozen=True)
class WriteHold:
    """Keeps other deploys of the service away from a verified candidate, until it is promoted, aborted or expires."""

    host: str
    hold: Hold
    because: str


@dataclass(frozen=True)
class DropHold:
    """Lets others deploy the service again."""

    host: str
    service: str
    because: str


@dataclass(frozen=True)
class RunTask:
    """Runs a task of the release (`before_switch`, `after_switch`) in its image, with its config, to its end."""

    host: str
    release: Release
    name: str
    task: Task
    because: str


@dataclass(frozen=True)
class ShareTraffic:
    """Sends a share of the users' requests, in percent, to the candidate; the others go on to what is live."""

    host: str
    route: EdgeRoute
    release: Release
    percent: int
    because: str


@dataclass(frozen=True)
class AnalyseRelease:
    """Judges a release on all of `hosts` together against `previous` (None: nothing to compare with).

    `stage` says who has met it: "trial" nobody, "canary" a share of the users for `watch_s`, "users" all of them.
    """

    host: str
    hosts: tuple[str, ...]
    release: Release
    previous: Release | None
    stage: str
    watch_s: float
    because: str


@dataclass(frozen=True)
class RecordLive:
    """Writes into the host's ledger that the release answered from outside; the way back is now to it."""

    host: str
    release: Release
    because: str


@dataclass(frozen=True)
class SettleEdge:
    """Takes what is no longer served out of the edge's text."""

    host: str
    route: EdgeRoute
    because: str


@dataclass(frozen=True)
class SetMaintenance:
    """Closes a service for its users, as the route says, or opens it; done when fresh connections see it."""

    host: str
    route: EdgeRoute
    because: str


@dataclass(frozen=True)
class AwaitDrained:
    """Waits until the nginx workers that an earlier reload told to end have ended. Time in seconds."""

    host: str
    deadline_s: float
    because: str


@dataclass(frozen=True)
class StopRelease:
    """Stops and removes a release's replicas, gracefully; its folder stays."""

    host: str
    service: str
    release: str
    because: str


@dataclass(frozen=True)
class ScaleDown:
    """Stops and removes replicas that a release has no more, gracefully; the others go on."""

    host: str
    names: tuple[str, ...]
    because: str


@dataclass(frozen=True)
class Prune:
    """Removes the folders of these releases and the images that only they used."""

    host: str
    service: str
    releases: tuple[str, ...]
    images: tuple[str, ...]
    because: str


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
    | ShareTraffic
    | AnalyseRelease
    | WriteHold
    | DropHold
    | RunTask
    | RecordLive
    | SettleEdge
    | SetMaintenance
    | AwaitDrained
    | StopRelease
    | ScaleDown
    | Prune
)


def name_of(step: Step) -> str:
    """Returns the step's imperative name."""
    return type(step).__name__
