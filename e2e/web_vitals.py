"""Web vitals of every page that a journey opens, told by the browser itself; it never changes a page.

https://web.dev/articles/vitals ; the browser's own observers, so no code of anybody else's runs in the page.
"""

from __future__ import annotations

from playwright.sync_api import BrowserContext

SCRIPT = """(() => {
  const tell = (vital, value) => window.shipVital?.(location.pathname, vital, value);
  const watch = (type, take, more = {}) => {
    try {
      new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({type, buffered: true, ...more});
    } catch { /* a browser without this observer tells nothing of it */ }
  };
  let shift = 0;
  watch("navigation", (entry) => tell("ttfb", entry.responseStart / 1000));
  watch("largest-contentful-paint", (entry) => tell("lcp", entry.startTime / 1000));
  watch("layout-shift", (entry) => { if (!entry.hadRecentInput) { shift += entry.value; tell("cls", shift); } });
  watch("event", (entry) => { if (entry.interactionId) tell("inp", entry.duration / 1000); }, {durationThreshold: 16});
  addEventListener("load", () => tell("cls", shift));
})();"""

# Labels must stay few, whatever a journey opens.
PAGES = frozenset({"/", "/info", "/monitor"})
VITALS = frozenset({"ttfb", "lcp", "cls", "inp"})


class Vitals:
    """The worst value of each vital of each page, over all journeys of a run."""

    def __init__(self) -> None:
        self.worst: dict[tuple[str, str], float] = {}

    def watch(self, context: BrowserContext) -> None:
        """Listens to every page of a context from its first moment."""
        context.expose_function("shipVital", self.take)
        context.add_init_script(SCRIPT)

    def take(self, page: str, vital: str, value: float) -> None:
        """Takes one value: seconds, or a share of the screen for `cls`."""
        if vital in VITALS:
            key = (page if page in PAGES else "other", vital)
            self.worst[key] = max(self.worst.get(key, 0.0), float(value))
