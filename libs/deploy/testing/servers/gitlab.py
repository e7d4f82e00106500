"""A GitLab that records deployments, in memory or behind a real HTTP server; never runs a pipeline."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from deploy.errors import DeploymentsError


@dataclass
class MemoryGitlab:
    """One project's deployments. `broken` is the HTTP status that it answers with while it is set."""

    project: str = "42"
    token: str = "job-token"  # noqa: S105
    broken: int = 0
    deployments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def record(self, environment: str, sha: str, status: str = "success") -> None:
        """Adds a deployment, as a job with `environment` does at its end, whatever commit it is of."""
        number = len(self.deployments) + 1
        self.deployments.append(
            {"id": number, "sha": sha, "status": status, "environment": {"name": environment}}
        )

    def last_verified(self, environment: str) -> str | None:
        """Answers as the adapter does."""
        if self.broken:
            raise DeploymentsError(f"GitLab's deployments can't be read: status {self.broken}")
        found = self.listed({"environment": environment, "status": "success", "sort": "desc"})
        return str(found[0]["sha"]) if found else None

    def listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """Lists deployments as https://docs.gitlab.com/api/deployments/#list-project-deployments has it."""
        found = [
            each
            for each in self.deployments
            if query.get("environment", each["environment"]["name"]) == each["environment"]["name"]
            and query.get("status", each["status"]) == each["status"]
        ]
        found.sort(
            key=lambda each: each[query.get("order_by", "id")],
            reverse=query.get("sort", "asc") == "desc",
        )
        return found[: int(query.get("per_page", "20"))]


@contextmanager
def gitlab_server(gitlab: MemoryGitlab) -> Iterator[str]:
    """Serves the API on a free port of the loopback; yields what CI_API_V4_URL would be."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            gitlab.asked.append(self.path)
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
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api/v4"
        finally:
            server.shutdown()
            serving.join()
