"""Watches everything a browser does during a journey; it never stops or changes a request."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

MARKS = ("x-release", "x-replica", "x-request-id")


class Witness:
    """Keeps what must never happen in any journey, and which replicas answered.

    `ends_with` tells at the journey's end: console errors, script errors, requests that left the origin,
    requests that failed, answers without the marks of the edge.
    """

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self._origin = origin
        self.problems: list[str] = []
        self.replicas: set[str] = set()
        self.releases: set[str] = set()
        self.expected_statuses: set[int] = set()
        context.on("page", self._watch)

    def _watch(self, page: Page) -> None:
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        page.on("request", self._see_request)
        page.on("response", self._see_response)
        page.on("requestfailed", self._see_failure)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not self._expected(message.text):
            self.problems.append(f"console {message.type}: {message.text}")

    def _expected(self, text: str) -> bool:
        """A page that is asked for on purpose and isn't there is named by the browser as an error."""
        return any(f"status of {status}" in text for status in self.expected_statuses)

    def _see_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self._origin}/", "data:", "blob:")):
            self.problems.append(f"left the origin: {request.url}")

    def _see_failure(self, request: Request) -> None:
        # A poll that a navigation cuts off is no failure of the app.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"{request.url}: {request.failure}")

    def _see_response(self, response: Response) -> None:
        if not response.url.startswith("http"):
            return
        headers = response.headers
        missing = [name for name in MARKS if not headers.get(name)]
        if missing:
            self.problems.append(f"{response.url}: no {', '.join(missing)}")
        if response.status >= 400 and response.status not in self.expected_statuses:
            self.problems.append(f"{response.url}: {response.status}")
        self.replicas.add(headers.get("x-replica", ""))
        self.releases.add(headers.get("x-release", ""))
