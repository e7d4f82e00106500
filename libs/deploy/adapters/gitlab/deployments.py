"""The variables of a GitLab job, and GitLab's record of deployments."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from deploy.core.ci.base_revision import PipelineFacts
from deploy.errors import DeploymentsError, UsageError

PINNED = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


def pipeline_facts(environ: Mapping[str, str] = os.environ) -> PipelineFacts:
    """Returns the facts in GitLab's variables. On a laptop there are none.

    https://docs.gitlab.com/ci/variables/predefined_variables/
    """
    # Emulators of GitLab's runner set CI_PIPELINE_SOURCE, but not GITLAB_CI.
    unknown = "unknown" if environ.get("GITLAB_CI") == "true" else None
    source = environ.get("CI_PIPELINE_SOURCE") or unknown
    if not source:
        return PipelineFacts()
    return PipelineFacts(
        source=source,
        event=environ.get("CI_MERGE_REQUEST_EVENT_TYPE") or None,
        branch=environ.get("CI_COMMIT_BRANCH") or None,
        default_branch=environ.get("CI_DEFAULT_BRANCH") or None,
        tag=environ.get("CI_COMMIT_TAG") or None,
        before=environ.get("CI_COMMIT_BEFORE_SHA") or None,
        diff_base=environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA") or None,
    )


def require_pinned_job_image(environ: Mapping[str, str] = os.environ) -> None:
    """Raises UsageError in a GitLab pipeline if SHIP_JOB_IMAGE has no digest."""
    image = environ.get("SHIP_JOB_IMAGE", "")
    if environ.get("GITLAB_CI") == "true" and not PINNED.fullmatch(image):
        raise UsageError(
            f"SHIP_JOB_IMAGE is {image or 'not set'}: no image by digest; no pipeline was written",
            hint="set it to name@sha256:... in GitLab's CI/CD variables (docs/gitlab.md)",
        )


class GitlabDeployments:
    """Reads deployments through GitLab's API with the job's token.

    https://docs.gitlab.com/api/deployments/#list-project-deployments
    """

    def __init__(self, api: str, project: str, token: str, *, timeout_s: float = 20.0) -> None:
        self._api = api.rstrip("/")
        self._project = project
        self._token = token
        self._timeout_s = timeout_s

    @classmethod
    def of_job(cls, environ: Mapping[str, str] = os.environ) -> GitlabDeployments:
        """Creates it from the job's variables. A missing variable is reported when deployments are read."""
        return cls(
            environ.get("CI_API_V4_URL", ""),
            environ.get("CI_PROJECT_ID", ""),
            environ.get("CI_JOB_TOKEN", ""),
        )

    def last_verified(self, environment: str) -> str | None:
        """Returns the revision of an environment's last success, None if there is none. Raises DeploymentsError.

        Last means the highest id: GitLab's Rollback button creates a new deployment of an old revision.
        """
        self._require_variables()
        query = {"environment": environment, "status": "success", "order_by": "id", "sort": "desc"}
        found = self._get(f"deployments?{urlencode({**query, 'per_page': 1})}")
        if not isinstance(found, list):
            raise self._failed("the answer is no list of deployments")
        if not found:
            return None
        try:
            if found[0]["environment"]["name"] != environment or found[0]["status"] != "success":
                raise self._failed("the answer is another environment's deployment")
            return str(found[0]["sha"])
        except (KeyError, TypeError) as error:
            raise self._failed("a deployment lacks its environment, status or sha") from error

    def _require_variables(self) -> None:
        needed = {
            "CI_API_V4_URL": self._api.startswith(("http://", "https://")),
            "CI_PROJECT_ID": self._project,
            "CI_JOB_TOKEN": self._token,
        }
        for name, is_set in needed.items():
            if not is_set:
                raise DeploymentsError(f"GitLab's deployments can't be read: {name} is not set")

    def _get(self, path: str) -> object:
        url = f"{self._api}/projects/{quote(self._project, safe='')}/{path}"
        request = urllib.request.Request(url, headers={"JOB-TOKEN": self._token})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise self._failed(f"status {error.code}") from error
        except urllib.error.URLError as error:
            raise self._failed(str(error.reason)) from error
        except (OSError, ValueError) as error:
            raise self._failed(str(error) or type(error).__name__) from error

    def _failed(self, reason: str) -> DeploymentsError:
        return DeploymentsError(f"GitLab's deployments can't be read at {self._api}: {reason}")
