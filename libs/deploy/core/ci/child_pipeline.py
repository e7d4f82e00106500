"""Renders the child pipeline that deploys to one environment, with the images' digests in it.

A stage has the same step of all services, so that the rollback stage runs after any failure and the report after that:
GitLab doesn't start a job with `when: on_failure` if jobs that it `needs` were skipped.
https://docs.gitlab.com/ci/yaml/#when
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.core.addresses import service_url
from deploy.core.ci.base_revision import gitlab_environment
from deploy.core.ci.selection_file import PublishedImages, SavedSelection
from deploy.core.config import Environment, Route
from deploy.core.printable import printable
from deploy.core.references import REFERENCE
from deploy.core.yaml_text import Plain, write_yaml
from deploy.errors import UsageError

STAGES = ("hold", "e2e", "promote", "watch", "confirm", "rollback", "report")
TEMPLATE = ".gitlab/ci/child.yml"
FROZEN = "$CI_DEPLOY_FREEZE"
EVERY_TOOL = "$SHIP_JOB_IMAGE"
NOTES = "dist/ci"
EVIDENCE = "dist/e2e"
REPORTS = "dist/report"


@dataclass(frozen=True)
class FromJob:
    """A word of a script that the shell takes from a variable, which an earlier job passes on."""

    variable: str


@dataclass(frozen=True)
class Deployable:
    """A service, its published image as `name@sha256:...`, and the URL at which users reach it."""

    service: str
    image: str
    url: str


@dataclass(frozen=True)
class ChildPipeline:
    """The pipeline of one environment.

    `reason` is why these services are deployed. If `freezes` is set, nothing is deployed during GitLab's deploy
    freezes. `tool` is the image, as `name@sha256:...`, of the jobs that only need this revision's tool.
    """

    environment: str
    revision: str
    reason: str
    deployables: tuple[Deployable, ...] = ()
    freezes: bool = False
    tool: str | None = None


def variable_name(service: str, what: str) -> str:
    """Returns the name of the variable that passes a value of a service to later jobs."""
    return f"{re.sub(r'[^A-Z0-9]', '_', service.upper())}_{what}"


def render_dotenv(service: str, release: str, outcome: str) -> str:
    """Returns GitLab's dotenv report: the release that answers, and the release that a failure reverts.

    A release that was live before this pipeline is not reverted.
    https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv
    """
    to_revert = release if outcome in {"held", "live"} else ""
    values = {
        variable_name(service, "RELEASE"): release,
        variable_name(service, "HELD"): to_revert,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def render(child: ChildPipeline) -> str:
    """Returns the pipeline as JSON, which is YAML. Raises UsageError for an image without a digest, and for NUL."""
    images: dict[str, str | None] = {
        deployable.service: deployable.image for deployable in child.deployables
    }
    if images:
        images["the tool"] = child.tool
    for name, image in images.items():
        if not REFERENCE.fullmatch(image or ""):
            problem = (
                f"{image!r} is not of the form name@sha256:..." if image else "no image is named"
            )
            raise UsageError(
                f"{name}: {problem}; the pipeline of {child.environment} was not written and nothing will be deployed",
                hint="./ship publish --selection FILE --out FILE publishes images and names them",
            )
    jobs = _deploy_jobs(child) if child.deployables else _nothing_to_deploy(child)
    names = ", ".join(deployable.service for deployable in child.deployables) or "nothing"
    # GitLab ignores a job whose name begins with a dot; people who open the file see it first.
    about: dict[str, Plain] = {
        "ENVIRONMENT": child.environment,
        "REVISION": child.revision[:12],
        "SERVICES": names,
        "REASON": _one_line(child.reason),
    }
    try:
        return write_yaml({".made by ship pipeline": {"variables": about}, **jobs})
    except ValueError as error:
        raise UsageError(
            f"the selection {error}; the pipeline of {child.environment} was not written and nothing will be deployed",
            hint="correct the reason, or the name, in the selection file",
        ) from error


def script(*words: str | FromJob) -> str:
    """Returns a line of a script in which the shell reads each word as it is, whatever it contains."""
    return " ".join(
        f'"${word.variable}"' if isinstance(word, FromJob) else shlex.quote(word) for word in words
    )


def _nothing_to_deploy(child: ChildPipeline) -> Mapping[str, Plain]:
    """Returns one job that prints the reason: GitLab fails a pipeline without jobs."""
    message = f"{child.environment}: nothing to deploy: {_one_line(child.reason)}"
    return {
        "stages": ["hold"],
        "nothing to deploy": {
            "stage": "hold",
            "image": EVERY_TOOL,
            "variables": {"GIT_STRATEGY": "none"},
            "script": [script("echo", message)],
        },
    }


def _deploy_jobs(child: ChildPipeline) -> Mapping[str, Plain]:
    jobs: dict[str, Plain] = {"include": [{"local": TEMPLATE}], "stages": list(STAGES)}
    if child.freezes:
        # A freeze may begin between the start of the parent pipeline and the manual start of this one.
        jobs["frozen"] = {
            "extends": ".ship",
            "stage": "hold",
            "rules": [{"if": FROZEN}],
            "script": [script("./ship", "pipeline", child.environment, "--frozen")],
        }
    for stage in STAGES:
        for deployable in child.deployables:
            jobs[f"{stage} {deployable.service}"] = _JOBS[stage](child, deployable)
    return jobs


def _job(
    child: ChildPipeline, deployable: Deployable, stage: str, action: str, *words: str | FromJob
) -> dict[str, Plain]:
    """Returns a job that runs `./ship` with these words."""
    job: dict[str, Plain] = {
        "extends": ".deploys",
        "image": child.tool,
        "stage": stage,
        "environment": {
            "name": gitlab_environment(child.environment, deployable.service),
            "url": deployable.url,
            "action": action,
        },
        "script": [script("./ship", *words, "--env", child.environment)],
        "cache": [],  # the image contains all it needs
    }
    if child.freezes:
        job["rules"] = [{"if": FROZEN, "when": "never"}, {"when": "on_success"}]
    return job


def _hold(child: ChildPipeline, deployable: Deployable) -> Mapping[str, Plain]:
    name, note = deployable.service, f"{NOTES}/{deployable.service}.env"
    words = ("deploy", name, "--image", deployable.image, "--hold", "--wait", "--dotenv", note)
    return {
        **_job(child, deployable, "hold", "prepare", *words),
        "artifacts": {"when": "always", "reports": {"dotenv": note}},
    }


def _e2e(child: ChildPipeline, deployable: Deployable) -> Mapping[str, Plain]:
    name, evidence = deployable.service, f"{EVIDENCE}/{deployable.service}"
    words = ("e2e", name, "--release", _release(deployable), "--keep", evidence)
    job = _job(child, deployable, "e2e", "verify", *words)
    del job["cache"]
    return {
        **job,
        "image": EVERY_TOOL,  # it needs a browser
        "artifacts": {
            "when": "always",
            "paths": [evidence],
            "reports": {"junit": f"{evidence}/*.xml"},
        },
    }


def _promote(child: ChildPipeline, deployable: Deployable) -> Mapping[str, Plain]:
    words = ("promote", deployable.service, "--release", _release(deployable), "--wait")
    return _job(child, deployable, "promote", "prepare", *words)


def _watch(child: ChildPipeline, deployable: Deployable) -> Mapping[str, Plain]:
    return _job(child, deployable, "watch", "verify", "watch", deployable.service)


def _confirm(child: ChildPipeline, deployable: Deployable) -> Mapping[str, Plain]:
    """Returns the only job that GitLab records as a deployment. GitLab's Rollback button runs it again."""
    words = ("confirm", deployable.service, "--image", deployable.image, "--wait")
    return _job(child, deployable, "confirm", "start", *words)


def _rollback(child: ChildPipeline, deployable: Deployable) -> Mapping[str, Plain]:
    held = FromJob(variable_name(deployable.service, "HELD"))
    job = _job(
        child, deployable, "rollback", "prepare", "revert", deployable.service, "--release", held
    )
    rules: Sequence[Mapping[str, Plain]] = [{"when": "on_failure"}]
    if child.freezes:
        rules = [{"if": FROZEN, "when": "never"}, *rules]
    return {**job, "rules": rules}


def _report(child: ChildPipeline, deployable: Deployable) -> Mapping[str, Plain]:
    """Returns the job that renders the report. It runs after success and failure, and its own failure is allowed."""
    page = f"{REPORTS}/{deployable.service}.html"
    words = ("report", deployable.service, _release(deployable), "--out", page)
    job = _job(child, deployable, "report", "verify", *words)
    rules: Sequence[Mapping[str, Plain]] = [{"when": "always"}]
    if child.freezes:
        rules = [{"if": FROZEN, "when": "never"}, *rules]
    return {
        **job,
        "rules": rules,
        "allow_failure": True,
        "artifacts": {"when": "always", "paths": [page]},
    }


def _release(deployable: Deployable) -> FromJob:
    return FromJob(variable_name(deployable.service, "RELEASE"))


_JOBS = {
    "hold": _hold,
    "e2e": _e2e,
    "promote": _promote,
    "watch": _watch,
    "confirm": _confirm,
    "rollback": _rollback,
    "report": _report,
}


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def make_child_pipeline(
    environment: Environment,
    selection: SavedSelection,
    published: PublishedImages,
    *,
    revision: str,
    routes: Mapping[str, Route] | None = None,
    freezes: bool = False,
) -> ChildPipeline:
    """Returns the pipeline of an environment, in which each service has the URL of its route (default: the edge's).

    Raises UsageError if the image of a pending service is not published.
    """
    if environment.name not in selection.deploys:
        known = ", ".join(sorted(selection.deploys)) or "none"
        raise UsageError(
            f"the selection has no environment {environment.name}; nothing will be deployed",
            hint=f"one of: {known}; each is a file in deploy/environments",
        )
    pending = selection.deploys[environment.name]
    images = published.images
    if missing := [name for name in pending if name not in images]:
        raise UsageError(
            f"{', '.join(missing)}: due in {environment.name}, but no published image is named; "
            "nothing will be deployed",
            hint="./ship publish --selection FILE --out FILE publishes and names them",
        )
    for name in pending:
        if not images[name].startswith(f"{environment.registry.name}/"):
            raise UsageError(
                f"{images[name]} is not in {environment.registry.name}, the registry of "
                f"{environment.name}; nothing will be deployed",
                hint="environments of one pipeline share a registry: compare their [registry]",
            )
    edge = environment.hosts[0].url
    deployables = tuple(
        Deployable(name, images[name], service_url(edge, (routes or {}).get(name, Route())))
        for name in pending
    )
    return ChildPipeline(
        environment.name, revision, selection.reason, deployables, freezes, published.tool
    )
