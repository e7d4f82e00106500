"""Records what a browser does during a journey: problems, and the releases and replicas that answered."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

EDGE_HEADERS = ("x-release", "x-replica", "x-request-id")
"""The headers that the edge adds to every response."""


class BrowserLog:
    """The log of one browser context.

    `problems` are what must not happen in any journey: console errors, script errors, requests to another origin,
    failed requests, error statuses that aren't in `expected_statuses`, responses without the edge's headers.
    """

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self._origin = origin
        self.problems: list[str] = []
        self.replicas: set[str] = set()
        self.releases: set[str] = set()
        self.expected_statuses: set[int] = set()
        context.on("page", self._on_page)

    def _on_page(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        page.on("request", self._on_request)
        page.on("response", self._on_response)
        page.on("requestfailed", self._on_request_failed)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not self._expected(message.text):
            self.problems.append(f"console {message.type}: {message.text}")

    def _expected(self, text: str) -> bool:
        """Returns whether this console error reports an expected status, such as that of a missing page."""
        return any(f"status of {status}" in text for status in self.expected_statuses)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self._origin}/", "data:", "blob:")):
            self.problems.append(f"left the origin: {request.url}")

    def _on_request_failed(self, request: Request) -> None:
        # A navigation aborts polls in flight; that is not a failure of the app.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"{request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if not response.url.startswith("http"):
            return
        headers = response.headers
        missing = [name for name in EDGE_HEADERS if not headers.get(name)]
        if missing:
            self.problems.append(f"{response.url}: no {', '.join(missing)}")
        if response.status >= 400 and response.status not in self.expected_statuses:
            self.problems.append(f"{response.url}: {response.status}")
        self.replicas.add(headers.get("x-replica", ""))
        self.releases.add(headers.get("x-release", ""))
