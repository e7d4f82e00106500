"""A step as one readable line, for people and for the tests that compare plans; never decides anything."""

from __future__ import annotations

from deploy.core.planning.steps import (
    AnalyseRelease,
    AwaitHealthy,
    DropHold,
    OfferCandidate,
    PointTraffic,
    Prune,
    PullImages,
    RecordLive,
    RemoveStack,
    ReplaceUnhealthy,
    RunTask,
    ScaleDown,
    SetMaintenance,
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
    name_of,
)


def describe(step: Step) -> str:
    """Writes a step as one readable line: what, with what, and why."""
    match step:
        case PullImages(images=images):
            what = " ".join(_short(image) for image in images)
        case RemoveStack(name=name):
            what = name
        case StartStack(stack=stack):
            what = stack.name
        case SetMaintenance(route=route):
            what = f"{route.service} {'on' if route.maintenance else 'off'}"
        case StopStack(name=name, keys=keys):
            what = " ".join([name, *keys])
        case (
            WriteRelease(release=release)
            | StartReplicas(release=release)
            | AwaitHealthy(release=release)
        ):
            what = f"{release.service} {release.id} x{release.replicas}"
        case WriteSecrets(release=release):
            pins = (f"{pin.name}@{pin.version[:13]}" for pin in release.secrets)
            what = " ".join([release.service, release.id, *pins])
        case OfferCandidate(release=release) | VerifyPreview(release=release):
            what = f"{release.service} {release.id}"
        case (
            PointTraffic(release=release)
            | VerifyOutside(release=release)
            | WatchRelease(release=release)
            | RecordLive(release=release)
        ):
            what = f"{release.service} {release.id}"
        case ShareTraffic(release=release, percent=percent):
            what = f"{release.service} {release.id} {percent}%"
        case AnalyseRelease(release=release, previous=previous, stage=stage):
            against = f" against {previous.id}" if previous else ""
            what = f"{release.service} {release.id}{against}, {stage}"
        case StopRelease(service=service, release=identity):
            what = f"{service} {identity}"
        case WriteHold(hold=hold):
            what = f"{hold.service} {hold.release}"
        case DropHold(service=service):
            what = service
        case RunTask(release=release, name=task):
            what = f"{task} of {release.service} {release.id}"
        case ReplaceUnhealthy(names=names) | ScaleDown(names=names):
            what = " ".join(names)
        case WriteTargets(service=service, targets=targets):
            what = " ".join([service, *(f"{release.id}={track}" for release, track in targets)])
        case Prune(releases=releases):
            what = " ".join(releases)
        case _:
            what = ""
    return f"{step.host}: {name_of(step)}{' ' if what else ''}{what} ({step.because})"


def _short(image: str) -> str:
    name, _, digest = image.partition("@sha256:")
    return f"{name.rsplit('/', 1)[-1]}@{digest[:12]}"
