"""Collects the web vitals (https://web.dev/articles/vitals) of every page that a journey opens.

The browser's own observers measure them, so no third-party code runs in the page.
"""

from __future__ import annotations

from playwright.sync_api import BrowserContext

SCRIPT = """(() => {
  const report = (vital, value) => window.shipVital?.(location.pathname, vital, value);
  const observe = (type, take, more = {}) => {
    try {
      new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({type, buffered: true, ...more});
    } catch { /* this browser lacks the observer, so the vital is not reported */ }
  };
  let shift = 0;
  observe("navigation", (entry) => report("ttfb", entry.responseStart / 1000));
  observe("largest-contentful-paint", (entry) => report("lcp", entry.startTime / 1000));
  observe("layout-shift", (entry) => {
    if (!entry.hadRecentInput) { shift += entry.value; report("cls", shift); }
  });
  observe("event", (entry) => {
    if (entry.interactionId) report("inp", entry.duration / 1000);
  }, {durationThreshold: 16});
  addEventListener("load", () => report("cls", shift));
})();"""

# Other pages and vitals would add label values without bound.
PAGES = frozenset({"/", "/info", "/monitor"})
VITALS = frozenset({"ttfb", "lcp", "cls", "inp"})


class WebVitals:
    """The worst value of each vital on each page, over all journeys of a run."""

    def __init__(self) -> None:
        self.worst: dict[tuple[str, str], float] = {}

    def watch(self, context: BrowserContext) -> None:
        """Collects from every page that the context opens from now on."""
        context.expose_function("shipVital", self.add)
        context.add_init_script(SCRIPT)

    def add(self, page: str, vital: str, value: float) -> None:
        """Adds one value, in seconds; for `cls`, a share of the screen."""
        if vital in VITALS:
            key = (page if page in PAGES else "other", vital)
            self.worst[key] = max(self.worst.get(key, 0.0), float(value))
