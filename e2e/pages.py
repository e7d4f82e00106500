"""Page objects: what users see on the app's pages and can do there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from playwright.sync_api import Locator, Page

DEADLINE_S = 60.0
"""How long a journey waits for what it expects, also on a busy machine. It goes on as soon as that happens."""


@dataclass(frozen=True)
class AnyPage:
    """What all pages of the app have in common."""

    page: Page
    path = "/"

    def open(self) -> None:
        self.page.goto(self.path)

    @property
    def heading(self) -> Locator:
        return self.page.get_by_role("heading", level=1)

    @property
    def release(self) -> str:
        return self.page.locator("footer [data-release]").inner_text()

    @property
    def replica(self) -> str:
        return self.page.locator("footer [data-replica]").inner_text()

    def follow(self, name: str) -> None:
        """Follows a link of the main navigation."""
        self.page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()

    @property
    def current(self) -> str:
        """The name of the page that the navigation marks as the current one."""
        return self.page.locator("nav [aria-current=page]").inner_text()

    @property
    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        return int(
            self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )


@dataclass(frozen=True)
class HomePage(AnyPage):
    """`/`."""

    def routes(self) -> list[str]:
        """Returns the paths that the page lists for programs."""
        links = self.page.get_by_role("region", name="For programs").get_by_role("link")
        return [link.get_attribute("href") or "" for link in links.all()]


@dataclass(frozen=True)
class InfoPage(AnyPage):
    """`/info`."""

    path = "/info"

    def facts(self, section: str) -> Mapping[str, str]:
        """Returns the names and values under a heading."""
        rows = self.page.get_by_role("region", name=section, exact=True).locator("dl > div")
        return {
            row.locator("dt").inner_text(): row.locator("dd").inner_text() for row in rows.all()
        }

    @property
    def interfaces(self) -> Locator:
        return self.page.get_by_role("region", name="Table of network interfaces").locator(
            "tbody tr"
        )


@dataclass(frozen=True)
class MonitorPage(AnyPage):
    """`/monitor`."""

    path = "/monitor"

    @property
    def state(self) -> Locator:
        return self.page.locator("#state")

    @property
    def updates(self) -> Locator:
        return self.page.locator("#updates")

    @property
    def answered_by(self) -> Locator:
        """One element for each replica that has sent an update."""
        return self.page.locator("#replicas li")

    def gauge(self, name: str) -> Locator:
        return self.page.get_by_role("meter", name=name)

    def readings(self) -> dict[str, str]:
        """Returns every value on the page by name: gauges, flows, and the time of the sample."""
        script = """() => Object.fromEntries([
            ...[...document.querySelectorAll("[data-gauge], [data-flow]")].map((each) => [
                each.dataset.gauge ?? each.dataset.flow, each.querySelector("[data-value]").textContent]),
            ["sampled_at", document.getElementById("sampled-at").dateTime]])"""
        return {str(name): str(value) for name, value in self.page.evaluate(script).items()}

    def set_interval(self, steps: int) -> None:
        """Moves the slider by keyboard; one step is one second."""
        slider = self.page.get_by_role("slider")
        for _ in range(abs(steps)):
            slider.press("ArrowRight" if steps > 0 else "ArrowLeft")

    @property
    def interval(self) -> Locator:
        return self.page.locator("#interval-text")

    @property
    def slider(self) -> Locator:
        return self.page.get_by_role("slider")

    @property
    def pause(self) -> Locator:
        return self.page.get_by_role("button", name="Pause")

    @property
    def filter(self) -> Locator:
        return self.page.get_by_role("searchbox")

    def column(self, name: str) -> Column:
        return Column(self.page, name)

    @property
    def rows(self) -> Locator:
        return self.page.locator("#process-table tbody tr")

    def cells(self, name: str) -> list[str]:
        """Returns the texts of a column from top to bottom."""
        script = """([name]) => {
            const table = document.getElementById("process-table");
            const at = [...table.tHead.rows[0].cells].findIndex((each) => each.textContent.trim() === name);
            return [...table.tBodies[0].rows].map((row) => row.cells[at].textContent);
        }"""
        return [str(text) for text in self.page.evaluate(script, [name])]


@dataclass(frozen=True)
class Column:
    """A heading of the process table."""

    page: Page
    name: str

    @property
    def heading(self) -> Locator:
        # By its text, since the accessible name includes the arrow that a style adds.
        exactly = re.compile(f"^{re.escape(self.name)}$")
        return self.page.get_by_role("columnheader").filter(has_text=exactly)

    @property
    def button(self) -> Locator:
        return self.heading.get_by_role("button")

    @property
    def order(self) -> str | None:
        """`ascending`, `descending`, or None if the table isn't sorted by this column."""
        return self.heading.get_attribute("aria-sort")
