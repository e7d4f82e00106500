"""Browser journeys: what users do on the app's pages, against SHIP_E2E_URL or else a new sandbox."""

from __future__ import annotations

import re
import time
from http.client import HTTPConnection
from typing import Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, Route, expect

from e2e.browser_log import EDGE_HEADERS, BrowserLog
from e2e.loadgen.replicas import find_replicas
from e2e.pages import DEADLINE_S, AnyPage, HomePage, InfoPage, MonitorPage
from e2e.ship import until
from e2e.target import SYNTHETIC, Target

SCREEN = (1280, 800)
PHONE_SCREEN = (360, 740)
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PROCESS = {
    "pid": 1,
    "name": "gunicorn",
    "memory_percent": 1.5,
    "num_threads": 9,
    "cpu_times": [12.0, 0.5],
}
on_a_phone = pytest.mark.parametrize("context", [pytest.param(PHONE, id="phone")], indirect=True)


def test_visitor_reaches_all_pages_by_the_navigation(page: Page, target: Target) -> None:
    home, info, monitor = HomePage(page), InfoPage(page), MonitorPage(page)
    home.open()
    assert home.current == "Home"
    for shown, name, heading in ((info, "System", "System"), (monitor, "Monitor", "Live monitor")):
        shown.follow(name)
        expect(shown.heading).to_have_text(heading)
        assert page.url == target.url + shown.path
        assert shown.current == name
    home.follow("Home")
    expect(page).to_have_title(re.compile("^Home"))


def test_every_listed_api_path_answers_json(page: Page, target: Target) -> None:
    home = HomePage(page)
    home.open()
    routes = home.routes()
    assert set(routes) == {"/api/monitor", "/api/process", "/version", "/readyz", "/livez"}
    for route in routes:
        answer = page.request.get(route)
        assert answer.ok, route
        assert isinstance(answer.json(), dict), route
    monitor = page.request.get("/api/monitor").json()
    assert {"cpu", "mem", "disk", "net_sent", "net_recv", "disk_read", "disk_write"} <= set(monitor)
    process = page.request.get("/api/process").json()["processes"][0]
    assert {"pid", "name", "memory_percent", "num_threads", "cpu_times"} <= set(process)


def test_system_page_shows_release_and_machine(page: Page, target: Target) -> None:
    info = InfoPage(page)
    info.open()
    release = info.facts("Release")
    assert release["Release"] == info.release
    assert release["Replica"] == info.replica
    assert re.fullmatch(r"\d+", info.facts("CPU")["Threads"])
    assert "B of " in info.facts("Memory and disk")["Memory"]
    assert info.facts("Host and platform")["Kernel"].startswith("Linux")
    expect(info.interfaces.filter(has_text="127.0.0.1")).to_have_count(1)


def test_monitor_shows_new_samples(page: Page) -> None:
    monitor = MonitorPage(page)
    monitor.open()
    expect(monitor.state).to_have_text("Live")
    expect(monitor.rows.first).to_be_visible()
    expect(monitor.gauge("CPU")).to_have_attribute("aria-valuetext", re.compile(r"^\d+ percent$"))
    monitor.set_interval(-1)
    before = monitor.readings()["sampled_at"]
    until(lambda: monitor.readings()["sampled_at"] != before, within_s=DEADLINE_S)

    # A machine's own values may stay the same for as long as it likes, so the next sample is changed on its way.
    _change_answers(page, "/api/monitor", cpu=37.4, net_sent=2048.0)
    _change_answers(page, "/api/process", processes=[PROCESS])
    expect(monitor.gauge("CPU")).to_have_attribute("aria-valuetext", "37 percent")
    until(lambda: monitor.readings()["net_sent"] == "2.0 KiB", within_s=DEADLINE_S)
    until(lambda: monitor.cells("CPU time") == ["12.5 s"], within_s=DEADLINE_S)
    page.unroute_all(behavior="ignoreErrors")


def test_slider_sets_the_interval_between_updates(page: Page) -> None:
    page.clock.install()
    polls: list[str] = []
    page.on(
        "request",
        lambda request: polls.append(request.url) if "/api/monitor" in request.url else None,
    )
    monitor = MonitorPage(page)
    monitor.open()
    expect(monitor.updates).to_have_text("1")
    page.clock.pause_at(time.time() + 3600)  # from here on only `run_for` moves the clock
    monitor.set_interval(3)
    expect(monitor.interval).to_have_text("5 s")
    expect(monitor.slider).to_have_attribute("aria-valuetext", "5 seconds")
    for _ in range(2):
        shown, before = monitor.updates.inner_text(), len(polls)
        page.clock.run_for(4_900)
        assert len(polls) == before
        page.clock.run_for(200)
        expect(monitor.updates).not_to_have_text(shown)
        assert len(polls) == before + 1


def test_monitor_can_be_paused_and_resumed(page: Page) -> None:
    monitor = MonitorPage(page)
    monitor.open()
    expect(monitor.state).to_have_text("Live")
    monitor.pause.click()
    expect(monitor.pause).to_have_attribute("aria-pressed", "true")
    expect(monitor.state).to_have_text("Paused")
    monitor.pause.click()
    expect(monitor.state).to_have_text("Live")


def test_table_sorts_by_mouse_and_by_keyboard(page: Page) -> None:
    monitor = MonitorPage(page)
    monitor.open()
    expect(monitor.rows.first).to_be_visible()
    monitor.pause.click()
    assert monitor.column("Memory").order == "descending"
    pid, name = monitor.column("PID"), monitor.column("Name")
    pid.button.click()
    expect(pid.heading).to_have_attribute("aria-sort", "ascending")
    assert monitor.column("Memory").order is None
    pids = [int(text) for text in monitor.cells("PID")]
    assert pids == sorted(pids)
    pid.button.press("Enter")
    expect(pid.heading).to_have_attribute("aria-sort", "descending")
    assert [int(text) for text in monitor.cells("PID")] == pids[::-1]
    page.keyboard.press("Tab")
    expect(name.button).to_be_focused()
    page.keyboard.press("Space")
    expect(name.heading).to_have_attribute("aria-sort", "ascending")
    names = [text.lower() for text in monitor.cells("Name")]
    assert names[0] <= names[-1]


def test_table_is_filtered_by_typed_text(page: Page) -> None:
    monitor = MonitorPage(page)
    monitor.open()
    expect(monitor.rows.first).to_be_visible()
    monitor.pause.click()
    pid = monitor.cells("PID")[0]
    monitor.filter.fill(pid)
    expect(monitor.rows).to_have_count(1)
    monitor.filter.fill("no process has this name")
    expect(monitor.rows).to_have_count(0)


def test_every_replica_serves_and_all_pages_show_one_release(
    page: Page, target: Target, browser_log: BrowserLog
) -> None:
    replicas = find_replicas(target.url, count=target.replicas, headers=SYNTHETIC)
    assert len(replicas) >= target.replicas
    releases = set()
    for path, page_class in (("/", HomePage), ("/info", InfoPage), ("/monitor", MonitorPage)):
        shown: AnyPage = page_class(page)
        shown.open()
        assert page.url == target.url + path
        assert shown.replica in replicas
        releases.add(shown.release)
    assert len(releases | browser_log.releases) == 1
    if target.release:
        assert releases == {target.release}
    version = page.request.get("/version").json()
    assert set(version) == {"service", "release", "revision", "config_hash", "replica"}
    assert version["release"] in releases


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/monitor",
        "/api/process",
        "/livez",
        "/readyz",
        "/version",
        "/favicon.ico",
        "/nowhere",
    ],
)
def test_every_response_has_the_headers_of_the_edge(target: Target, path: str) -> None:
    status, headers, _ = _get(target, path, {"X-Request-Id": "journey-0123456789abcdef"})
    assert status == (404 if path == "/nowhere" else 200)
    assert not [name for name in EDGE_HEADERS if not headers.get(name)]
    assert headers["x-request-id"] == "journey-0123456789abcdef"
    _, generated, _ = _get(target, path, {})
    assert re.fullmatch(r"[\w.-]{8,64}", generated["x-request-id"])


def test_edge_does_not_serve_metrics(target: Target) -> None:
    for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics"):
        status, _, body = _get(target, path, {})
        assert status == 404, path
        assert "# HELP" not in body


def test_missing_page_is_a_404_with_a_link_home(page: Page, browser_log: BrowserLog) -> None:
    browser_log.expected_statuses.add(404)
    page.goto("/nowhere")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not Found")
    page.get_by_role("link", name="Go to the home page").click()
    expect(page).to_have_title(re.compile("^Home"))


@on_a_phone
def test_pages_work_on_a_phone(page: Page) -> None:
    home, info, monitor = HomePage(page), InfoPage(page), MonitorPage(page)
    for shown in (home, info, monitor):
        shown.open()
        assert shown.overflow <= 0, shown.path
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Monitor").tap()
    expect(monitor.state).to_have_text("Live")
    monitor.column("PID").button.tap()
    expect(monitor.column("PID").heading).to_have_attribute("aria-sort", "ascending")


@pytest.mark.parametrize("path", ["/", "/info", "/monitor", "/nowhere"])
def test_pages_have_no_accessibility_violations(
    page: Page, browser_log: BrowserLog, path: str
) -> None:
    browser_log.expected_statuses.add(404)
    page.goto(path)
    if path == "/monitor":
        expect(MonitorPage(page).rows.first).to_be_visible()
    page.evaluate(Axe().axe_script)
    for width, height in (SCREEN, PHONE_SCREEN):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert _violations(page) == [], f"{path} {width} pixels wide, {scheme}"


def test_first_tab_stop_skips_to_the_content(page: Page) -> None:
    HomePage(page).open()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def _change_answers(page: Page, path: str, **values: object) -> None:
    """Replaces values in the answers to a path; all else in them is the service's own."""

    def change(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), **values})

    page.route(f"**{path}", change)


def _violations(page: Page) -> list[str]:
    found = page.evaluate(
        "axe.run({resultTypes: ['violations']}).then((result) => result.violations)"
    )
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in found
        for node in violation["nodes"]
    ]


def _get(target: Target, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
    parts = urlsplit(target.url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
    try:
        connection.request("GET", path, headers={**SYNTHETIC, **headers})
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return response.status, named, response.read().decode(errors="replace")
    finally:
        connection.close()
