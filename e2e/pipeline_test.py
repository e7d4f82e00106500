"""Checks the pipeline's files: GitLab's schema, every shell line, and the jobs of every kind of pipeline."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from e2e.gitlab import (
    GitlabProject,
    editor_problems,
    pipeline_files,
    schema_problems,
    script_lines,
    shellcheck,
)
from e2e.live_sandbox import Clone, checkout

PLAN_AND_VERIFY = [
    "plan: plan",
    "verify: lint",
    "verify: check",
    "verify: test",
    "verify: integration",
]
CACHES = "report: caches (always)"
PUBLISH = ["package: publish", "package: pipelines", "staging: staging"]
NO_BRANCH = {"CI_COMMIT_BRANCH": ""}
PUSH = {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "main"}

KINDS = {
    "a merge request": (
        {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "1", **NO_BRANCH},
        [*PLAN_AND_VERIFY, "package: build", CACHES],
    ),
    "a push to the default branch": (
        PUSH,
        [*PLAN_AND_VERIFY, *PUBLISH, "production: production (manual)", CACHES],
    ),
    "a push to the default branch in a freeze": (
        {**PUSH, "CI_DEPLOY_FREEZE": "true"},
        [*PLAN_AND_VERIFY, *PUBLISH, CACHES],
    ),
    "a pipeline that a person started": (
        {**PUSH, "CI_PIPELINE_SOURCE": "web"},
        [*PLAN_AND_VERIFY, *PUBLISH, "production: production (manual)", CACHES],
    ),
    "a schedule": (
        {**PUSH, "CI_PIPELINE_SOURCE": "schedule"},
        [
            *PLAN_AND_VERIFY,
            *(
                f"verify: proofs: [{name}]"
                for name in (
                    *("worst", "gate", "busy", "bare", "firstweek", "damage", "soak", "drain"),
                )
            ),
            "verify: delivery",
            "verify: upgrade",
            "verify: many hosts",
            "verify: random config",
            "verify: kept results",
            "verify: job image",
            CACHES,
            "report: nightly good",
            "report: nightly missed (on_failure)",
        ],
    ),
    "a tag": (
        {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1", **NO_BRANCH},
        [*PLAN_AND_VERIFY, CACHES],
    ),
    "another branch": (
        {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "topic"},
        [*PLAN_AND_VERIFY, CACHES],
    ),
}


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> GitlabProject:
    clone = Clone.of(checkout(), tmp_path_factory.mktemp("gitlab") / "project")
    return GitlabProject.over(clone).pushed()


def test_every_file_is_valid_under_gitlabs_schema() -> None:
    assert schema_problems(pipeline_files(checkout())) == ""


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("service", ["services/app/service.toml", "e2e/fixture/service.toml"]),
        (
            "environment",
            ["deploy/environments/production.toml", "deploy/environments/staging.toml"],
        ),
    ],
)
def test_schemas_for_editors_accept_the_files_and_find_a_wrong_key(
    schema: str, files: list[str], tmp_path: Path
) -> None:
    path = checkout() / "docs" / "schemas" / f"{schema}.schema.json"
    assert editor_problems(path, [checkout() / file for file in files]) == ""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("replcas = 5\n" + (checkout() / files[0]).read_text())
    assert "replcas" in editor_problems(path, [wrong])


@pytest.mark.parametrize("file", pipeline_files(checkout()), ids=lambda path: path.name)
def test_every_job_is_one_ship_command_without_shell_syntax(file: Path) -> None:
    for line in script_lines(file.read_text()):
        assert shellcheck(line) == ""
        assert line.startswith("./ship "), line
        assert not re.search(r"[;|&`<>]|\$\(", line), line


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_deploys_to_an_environment_run_one_at_a_time_and_are_not_interrupted(
    environment: str,
) -> None:
    text = (checkout() / ".gitlab" / "ci" / "deploy.yml").read_text()
    _, _, job = text.partition(f"\n{environment}:\n")
    lines = {line.strip() for line in job.partition("\n\n")[0].splitlines()}
    assert {f"resource_group: {environment}", "interruptible: false", "strategy: mirror"} <= lines


@pytest.mark.parametrize(("variables", "expected"), KINDS.values(), ids=KINDS.keys())
def test_every_kind_of_pipeline_has_its_jobs(
    gitlab: GitlabProject, variables: dict[str, str], expected: list[str]
) -> None:
    assert gitlab.jobs(variables) == expected
