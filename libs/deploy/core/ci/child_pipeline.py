"""Writes the pipeline that deploys to one environment, digests baked in; never asks what is to be deployed.

Stages are steps of all services at once, so that the one that takes back runs after whatever failed, and the report
after that: GitLab doesn't start a job `when: on_failure` whose `needs` were skipped.
https://docs.gitlab.com/ci/yaml/#when
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.core.ci import yaml_text
from deploy.core.ci.base_revision import gitlab_environment
from deploy.core.ci.selection_file import Published, Selected
from deploy.core.ci.yaml_text import Plain
from deploy.core.config import Environment
from deploy.errors import UsageError

STAGES = ("hold", "e2e", "promote", "watch", "confirm", "rollback", "report")
DIGEST = re.compile(r"[^\s@/]+/[^\s@]+@sha256:[0-9a-f]{64}")
TEMPLATE = ".gitlab/ci/child.yml"
FROZEN = "$CI_DEPLOY_FREEZE"
EVERY_TOOL = "$SHIP_JOB_IMAGE"
NOTES = "dist/ci"
EVIDENCE = "dist/e2e"
REPORTS = "dist/report"


@dataclass(frozen=True)
class Deployable:
    """A service, its published image as `name@sha256:...`, and where users reach it."""

    service: str
    image: str
    url: str


@dataclass(frozen=True)
class Child:
    """One environment's pipeline. `freezes` respects GitLab's deploy freezes; `reason` is why these services.

    `tool` is the image, as `name@sha256:...`, of the jobs that need nothing but the tool of this revision.
    """

    environment: str
    revision: str
    reason: str
    deployables: tuple[Deployable, ...] = ()
    freezes: bool = False
    tool: str = ""


def variable_of(service: str, what: str) -> str:
    """Returns the name of the variable that carries what a job found out to later ones."""
    return f"{re.sub(r'[^A-Z0-9]', '_', service.upper())}_{what}"


def variables_of(service: str, release: str, outcome: str) -> str:
    """Writes GitLab's dotenv report: which release answers, and which one this pipeline is to take back.

    What was live already isn't this pipeline's to take back.
    https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv
    """
    held = release if outcome in {"held", "live"} else ""
    said = {variable_of(service, "RELEASE"): release, variable_of(service, "HELD"): held}
    return "".join(f"{name}={value}\n" for name, value in said.items())


def render(child: Child) -> str:
    """Returns the YAML; a pipeline with nothing to deploy says so. Raises UsageError for an image without a digest."""
    images = {each.service: each.image for each in child.deployables}
    if images:
        images["the tool"] = child.tool
    for name, image in images.items():
        if not DIGEST.fullmatch(image):
            raise UsageError(
                f"{name}: {image or 'no image'} is no name@sha256:..., so the pipeline of "
                f"{child.environment} was not written and nothing will be deployed",
                hint="./ship publish --selection FILE --out FILE writes published images",
            )
    jobs = _deploying(child) if child.deployables else _saying(child)
    names = ", ".join(each.service for each in child.deployables) or "nothing"
    head = (
        f"# Made by `ship pipeline` for {child.environment} at {child.revision[:12]}: {names}.\n"
        f"# {_one_line(child.reason)}\n"
    )
    return head + yaml_text.write(jobs)


def _saying(child: Child) -> Mapping[str, Plain]:
    """An empty pipeline would fail; this one has a job that says why it is empty."""
    said = f"{child.environment}: nothing to deploy: {_one_line(child.reason)}"
    return {
        "stages": ["hold"],
        "nothing to deploy": {
            "stage": "hold",
            "image": EVERY_TOOL,
            "variables": {"GIT_STRATEGY": "none"},
            "script": [f"echo {shlex.quote(said)}"],
        },
    }


def _deploying(child: Child) -> Mapping[str, Plain]:
    jobs: dict[str, Plain] = {"include": [{"local": TEMPLATE}], "stages": list(STAGES)}
    if child.freezes:
        # The person at the gate may come when a freeze has begun: the parent's rules were read before.
        jobs["frozen"] = {
            "extends": ".ship",
            "stage": "hold",
            "rules": [{"if": FROZEN}],
            "script": [f"./ship pipeline {child.environment} --frozen"],
        }
    for stage in STAGES:
        for each in child.deployables:
            jobs[f"{stage} {each.service}"] = _JOBS[stage](child, each)
    return jobs


def _job(child: Child, each: Deployable, stage: str, action: str, script: str) -> dict[str, Plain]:
    job: dict[str, Plain] = {
        "extends": ".deploys",
        "image": child.tool,
        "stage": stage,
        "environment": {
            "name": gitlab_environment(child.environment, each.service),
            "url": each.url,
            "action": action,
        },
        "script": [f"{script} --env {child.environment}"],
        "cache": [],  # that image has all it needs
    }
    if child.freezes:
        job["rules"] = [{"if": FROZEN, "when": "never"}, {"when": "on_success"}]
    return job


def _hold(child: Child, each: Deployable) -> Mapping[str, Plain]:
    note = f"{NOTES}/{each.service}.env"
    script = f"./ship deploy {each.service} --image {each.image} --hold --wait --dotenv {note}"
    return {
        **_job(child, each, "hold", "prepare", script),
        "artifacts": {"when": "always", "reports": {"dotenv": note}},
    }


def _e2e(child: Child, each: Deployable) -> Mapping[str, Plain]:
    release = variable_of(each.service, "RELEASE")
    evidence = f"{EVIDENCE}/{each.service}"
    script = f'./ship e2e {each.service} --release "${release}" --keep {evidence}'
    job = _job(child, each, "e2e", "verify", script)
    del job["cache"]
    return {
        **job,
        "image": EVERY_TOOL,  # a browser
        "artifacts": {
            "when": "always",
            "paths": [evidence],
            "reports": {"junit": f"{evidence}/*.xml"},
        },
    }


def _promote(child: Child, each: Deployable) -> Mapping[str, Plain]:
    release = variable_of(each.service, "RELEASE")
    script = f'./ship promote {each.service} --release "${release}" --wait'
    return _job(child, each, "promote", "prepare", script)


def _watch(child: Child, each: Deployable) -> Mapping[str, Plain]:
    return _job(child, each, "watch", "verify", f"./ship watch {each.service}")


def _confirm(child: Child, each: Deployable) -> Mapping[str, Plain]:
    """GitLab records this job alone as a deployment, and its Rollback button runs it again."""
    script = f"./ship confirm {each.service} --image {each.image} --wait"
    return _job(child, each, "confirm", "start", script)


def _rollback(child: Child, each: Deployable) -> Mapping[str, Plain]:
    held = variable_of(each.service, "HELD")
    script = f'./ship revert {each.service} --release "${held}"'
    job = _job(child, each, "rollback", "prepare", script)
    rules: Sequence[Mapping[str, Plain]] = [{"when": "on_failure"}]
    if child.freezes:
        rules = [{"if": FROZEN, "when": "never"}, *rules]
    return {**job, "rules": rules}


def _report(child: Child, each: Deployable) -> Mapping[str, Plain]:
    """However it ended; one that can't be drawn says nothing of the deploy, and no other job's failure is hidden."""
    page = f"{REPORTS}/{each.service}.html"
    release = variable_of(each.service, "RELEASE")
    script = f'./ship report {each.service} "${release}" --out {page}'
    job = _job(child, each, "report", "verify", script)
    rules: Sequence[Mapping[str, Plain]] = [{"when": "always"}]
    if child.freezes:
        rules = [{"if": FROZEN, "when": "never"}, *rules]
    return {
        **job,
        "rules": rules,
        "allow_failure": True,
        "artifacts": {"when": "always", "paths": [page]},
    }


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
    return " ".join(text.split())


def child_of(
    environment: Environment,
    selected: Selected,
    published: Published,
    *,
    revision: str,
    freezes: bool = False,
) -> Child:
    """Returns the pipeline of an environment. Raises UsageError where an image that is due is not published."""
    if environment.name not in selected.deploys:
        known = ", ".join(sorted(selected.deploys)) or "none"
        raise UsageError(
            f"the selection knows no environment {environment.name}; nothing will be deployed",
            hint=f"one of: {known}; each is a file in deploy/environments",
        )
    due = selected.deploys[environment.name]
    images = published.images
    if missing := [name for name in due if name not in images]:
        raise UsageError(
            f"{', '.join(missing)}: due in {environment.name}, but no published image is named; "
            "nothing will be deployed",
            hint="./ship publish --selection FILE --out FILE publishes what is due",
        )
    for name in due:
        if not images[name].startswith(f"{environment.registry.name}/"):
            raise UsageError(
                f"{images[name]} is not in {environment.registry.name}, the registry of "
                f"{environment.name}; nothing will be deployed",
                hint="environments of one pipeline share a registry: compare their [registry]",
            )
    url = environment.hosts[0].url
    deployables = tuple(Deployable(name, images[name], url) for name in due)
    return Child(environment.name, revision, selected.reason, deployables, freezes, published.tool)
