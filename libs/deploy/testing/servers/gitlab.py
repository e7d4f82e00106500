"""A GitLab project with deployments, in memory or behind an HTTP server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from deploy.errors import DeploymentsError
from deploy.testing.servers.http_server import QuietHandler, http_server


@dataclass
class MemoryGitlab:
    """One project's deployments.

    While `broken` is set, it answers with that HTTP status. `requests` records the path of every HTTP request.
    """

    project: str = "42"
    token: str = "job-token"  # noqa: S105
    broken: int = 0
    deployments: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def record(self, environment: str, sha: str, status: str = "success") -> None:
        """Adds a deployment, as a job with `environment` does when it ends."""
        number = len(self.deployments) + 1
        self.deployments.append(
            {"id": number, "sha": sha, "status": status, "environment": {"name": environment}}
        )

    def last_verified(self, environment: str) -> str | None:
        """Returns the revision of the last successful deployment, as the adapter does."""
        if self.broken:
            raise DeploymentsError(f"GitLab's deployments can't be read: status {self.broken}")
        found = self.listed({"environment": environment, "status": "success", "sort": "desc"})
        return str(found[0]["sha"]) if found else None

    def listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """Lists deployments by https://docs.gitlab.com/api/deployments/#list-project-deployments."""
        environment, status = query.get("environment"), query.get("status")
        found = [
            deployment
            for deployment in self.deployments
            if environment in (None, deployment["environment"]["name"])
            and status in (None, deployment["status"])
        ]
        found.sort(
            key=lambda deployment: deployment[query.get("order_by", "id")],
            reverse=query.get("sort", "asc") == "desc",
        )
        return found[: int(query.get("per_page", "20"))]


@contextmanager
def gitlab_server(gitlab: MemoryGitlab) -> Iterator[str]:
    """Serves the API on a free port of the loopback interface. Yields the value for CI_API_V4_URL."""

    class Handler(QuietHandler):
        def respond(self) -> None:
            gitlab.requests.append(self.path)
            target = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(target.query).items()}
            if gitlab.broken:
                self._send(gitlab.broken, {"message": "broken"})
            elif self.headers.get("JOB-TOKEN") != gitlab.token:
                self._send(401, {"message": "401 Unauthorized"})
            elif unquote(target.path) != f"/api/v4/projects/{gitlab.project}/deployments":
                self._send(404, {"message": "404 Project Not Found"})
            else:
                self._send(200, gitlab.listed(query))

        def _send(self, status: int, body: object) -> None:
            self.reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    with http_server(Handler) as server:
        yield f"{server.url}/api/v4"
