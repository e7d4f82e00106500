import re
from collections.abc import Iterator

import pytest

from deploy.adapters.gitlab.deployments import GitlabDeployments, pipeline_facts
from deploy.core.ci.base_revision import PipelineFacts
from deploy.errors import DeploymentsError
from deploy.testing.servers.gitlab import MemoryGitlab, gitlab_server


@pytest.fixture
def gitlab() -> MemoryGitlab:
    return MemoryGitlab()


@pytest.fixture
def api(gitlab: MemoryGitlab) -> Iterator[str]:
    with gitlab_server(gitlab) as url:
        yield url


def job(api: str, **changed: str) -> dict[str, str]:
    return {"CI_API_V4_URL": api, "CI_PROJECT_ID": "42", "CI_JOB_TOKEN": "job-token", **changed}


def test_last_success_of_an_environment_is_returned(gitlab: MemoryGitlab, api: str) -> None:
    gitlab.record("production/app", "a1")
    gitlab.record("production/app", "b2")
    gitlab.record("production/other", "c3")
    gitlab.record("production/app", "d4", status="failed")
    gitlab.record("production/app", "e5", status="running")
    assert GitlabDeployments.of_job(job(api)).last_verified("production/app") == "b2"


def test_rollback_makes_the_old_revision_the_last_verified_one(
    gitlab: MemoryGitlab, api: str
) -> None:
    for sha in ("a1", "b2", "a1"):
        gitlab.record("production/app", sha)
    assert GitlabDeployments.of_job(job(api)).last_verified("production/app") == "a1"


def test_environment_without_a_success_has_no_verified_revision(
    gitlab: MemoryGitlab, api: str
) -> None:
    gitlab.record("production/app", "a1", status="canceled")
    assert GitlabDeployments.of_job(job(api)).last_verified("production/app") is None
    assert GitlabDeployments.of_job(job(api)).last_verified("production/never seen & new") is None


def test_project_can_be_a_path(gitlab: MemoryGitlab, api: str) -> None:
    gitlab.project = "group/project"
    gitlab.record("production/app", "a1")
    one = GitlabDeployments.of_job(job(api, CI_PROJECT_ID="group/project"))
    assert one.last_verified("production/app") == "a1"


@pytest.mark.parametrize(
    ("changed", "broken", "reason"),
    [
        ({"CI_JOB_TOKEN": "expired"}, 0, "status 401"),
        ({"CI_PROJECT_ID": "43"}, 0, "status 404"),
        ({}, 503, "status 503"),
        ({"CI_API_V4_URL": "http://127.0.0.1:1/api/v4"}, 0, "refused"),
        ({"CI_API_V4_URL": ""}, 0, "CI_API_V4_URL is not set"),
        ({"CI_PROJECT_ID": ""}, 0, "CI_PROJECT_ID is not set"),
        ({"CI_JOB_TOKEN": ""}, 0, "CI_JOB_TOKEN is not set"),
    ],
)
def test_reason_is_reported_if_deployments_cannot_be_read(
    gitlab: MemoryGitlab, api: str, changed: dict[str, str], broken: int, reason: str
) -> None:
    gitlab.record("production/app", "a1")
    gitlab.broken = broken
    with pytest.raises(DeploymentsError, match=re.escape(reason)) as raised:
        GitlabDeployments.of_job(job(api, **changed)).last_verified("production/app")
    assert "job-token" not in str(raised.value)


def test_incomplete_deployment_is_an_error(gitlab: MemoryGitlab, api: str) -> None:
    gitlab.deployments.append(
        {"id": 1, "status": "success", "environment": {"name": "production/app"}}
    )
    with pytest.raises(DeploymentsError, match="lacks"):
        GitlabDeployments.of_job(job(api)).last_verified("production/app")


def test_laptop_has_no_pipeline() -> None:
    assert pipeline_facts({"HOME": "/root", "CI": "true"}) == PipelineFacts()


def test_job_without_a_source_is_a_pipeline() -> None:
    assert pipeline_facts({"GITLAB_CI": "true"}).source == "unknown"


def test_emulated_job_is_a_pipeline() -> None:
    facts = pipeline_facts(
        {"GITLAB_CI": "false", "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "x"}
    )
    assert (facts.source, facts.branch) == ("push", "x")


def test_variables_of_a_merge_request_are_read() -> None:
    facts = pipeline_facts(
        {
            "GITLAB_CI": "true",
            "CI_PIPELINE_SOURCE": "merge_request_event",
            "CI_MERGE_REQUEST_EVENT_TYPE": "detached",
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": "a1",
            "CI_COMMIT_BEFORE_SHA": "0" * 40,
            "CI_DEFAULT_BRANCH": "main",
        }
    )
    assert facts == PipelineFacts(
        source="merge_request_event",
        event="detached",
        diff_base="a1",
        before="0" * 40,
        default_branch="main",
    )
