"""Fixtures of the journeys and integration tests: a browser, a page with its log, a sandbox."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from e2e.browser_log import BrowserLog
from e2e.chromium import FLAGS, find_chromium
from e2e.early_up import EarlyUp
from e2e.journey_results import JourneyResults, push
from e2e.live_sandbox import Clone, LiveSandbox, checkout, terminated_as_interrupt
from e2e.pages import DEADLINE_S
from e2e.rollouts import Rollouts
from e2e.ship import Ship
from e2e.target import SYNTHETIC, Target, output_folder, read_target

# These change the sandbox permanently, so they run last, in this order.
_LAST = (
    "rollout_test.py",
    "maintenance_test.py",
    "worst_day_test.py",
    "lossless_test.py",
    "soak_test.py",
    "steps_test.py",
    "lock_test.py",
    "badly_test.py",
    "transaction_test.py",
    "hosts_test.py",
)
_FAILED = pytest.StashKey[bool]()
_JOURNEYS = "journeys_test.py"
_RESULTS = pytest.StashKey[JourneyResults]()
_STEPS = pytest.StashKey[list[str]]()


def pytest_configure() -> None:
    # A shell starts background jobs (`&`) with SIGINT ignored, and ./ship would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _LAST.index(item.path.name) if item.path.name in _LAST else -1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call":
        item.stash[_FAILED] = report.failed
    if item.path.name == _JOURNEYS and (call.when == "call" or report.failed):
        steps = item.stash.get(_STEPS, None)
        _results(item.config).add(
            item.name, passed=not report.failed, seconds=report.duration, steps=len(steps or ())
        )
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pushes the results to SHIP_E2E_PUSHGATEWAY. A failure to push doesn't fail the run."""
    if problem := push(_results(session.config), _JOURNEYS.removesuffix("_test.py"), os.environ):
        print(f"the results of the journeys were not pushed: {problem}", file=sys.stderr)


def _results(config: pytest.Config) -> JourneyResults:
    return config.stash.setdefault(_RESULTS, JourneyResults())


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The environment that SHIP_E2E_URL names, else a sandbox that is made for these tests."""
    target = read_target()
    if target is not None:
        return target
    sandbox = request.getfixturevalue("sandbox")
    return Target(sandbox.url, sandbox.release)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSandbox]:
    """A new sandbox with the app deployed from the checkout, after the journeys. It is removed even if tests fail.

    `ship test` has started it before the tests, and SHIP_E2E_UP names the folder where it tells how that went.
    SHIP_E2E_SANDBOX names an existing sandbox to use instead. It isn't removed, which helps while writing a test.
    """
    if name := os.environ.get("SHIP_E2E_SANDBOX"):
        yield LiveSandbox(Ship(checkout(), name, tmp_path_factory.mktemp("ship")))
        return
    logs, early = tmp_path_factory.mktemp("ship"), EarlyUp.of(os.environ)
    named = Ship(checkout(), early.name, logs) if early else None
    sandbox = LiveSandbox(named) if named else LiveSandbox.named("test", logs)
    with terminated_as_interrupt():
        try:
            if early:
                early.wait()
            else:
                sandbox.ship("up", "--yes").expect_success()
            yield sandbox
        finally:
            sandbox.ship("down")
            left = sandbox.remains()
    assert left == []


@pytest.fixture(scope="session")
def clone(sandbox: LiveSandbox, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone of the checkout at a path with a space, to deploy from."""
    return Clone.of(sandbox.ship.root, tmp_path_factory.mktemp("clone") / "a clone")


@dataclass(frozen=True)
class FixtureBuild:
    """Rollouts of the fixture service, and its images: the first, and another if a test asks for two."""

    rollouts: Rollouts
    images: tuple[str, ...]


@pytest.fixture(scope="session")
def fixture_build(
    request: pytest.FixtureRequest,
    sandbox: LiveSandbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Future[FixtureBuild]]:
    """Builds and publishes the fixture's images in a thread. Tests that need none run meanwhile."""
    folder, two = tmp_path_factory.mktemp("rollouts"), _is_used(request, "images")

    def build() -> FixtureBuild:
        rollouts = Rollouts.on(sandbox, folder)
        another = (rollouts.another_image(),) if two else ()
        return FixtureBuild(rollouts, (rollouts.image, *another))

    pool = ThreadPoolExecutor(1)
    yield pool.submit(build)
    pool.shutdown(wait=False)  # after an interrupt, the sandbox is removed at once


@pytest.fixture(scope="session", autouse=True)
def _build_early(request: pytest.FixtureRequest) -> None:
    """Starts the build of the fixture's images with the sandbox, if a test needs them."""
    if _is_used(request, "rollouts"):
        request.getfixturevalue("fixture_build")


def _is_used(request: pytest.FixtureRequest, fixture: str) -> bool:
    return any(fixture in getattr(item, "fixturenames", ()) for item in request.session.items)


@pytest.fixture(scope="session")
def rollouts(fixture_build: Future[FixtureBuild]) -> Rollouts:
    """Rollouts of the fixture service, whose image is built and published once."""
    return fixture_build.result().rollouts


@pytest.fixture(scope="session")
def images(fixture_build: Future[FixtureBuild]) -> tuple[str, str]:
    """Two images of the fixture that behave the same."""
    first, second = fixture_build.result().images
    return first, second


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=DEADLINE_S * 1000)  # else five seconds
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(params=[{"viewport": {"width": 1280, "height": 800}}], ids=["desktop"])
def context(
    request: pytest.FixtureRequest, browser: Browser, target: Target
) -> Iterator[BrowserContext]:
    """A new browser context for each journey. A failed journey leaves its trace."""
    with browser.new_context(
        base_url=target.url,
        reduced_motion="reduce",
        extra_http_headers=SYNTHETIC,
        **request.param,
    ) as context:
        context.tracing.start(screenshots=True, snapshots=True)
        if os.environ.get("SHIP_E2E_PUSHGATEWAY"):
            _results(request.config).vitals.watch(context)
        steps = request.node.stash.setdefault(_STEPS, [])
        context.on(
            "request", lambda sent: steps.append(sent.url) if sent.is_navigation_request() else None
        )
        yield context
        trace = output_folder() / f"{_file_name(request)}.zip" if _failed(request) else None
        context.tracing.stop(path=trace)


@pytest.fixture
def browser_log(context: BrowserContext, target: Target) -> BrowserLog:
    return BrowserLog(context, target.url)


@pytest.fixture
def page(
    request: pytest.FixtureRequest, context: BrowserContext, browser_log: BrowserLog
) -> Iterator[Page]:
    """A page. The test fails if the browser log has problems at its end."""
    page = context.new_page()
    page.set_default_timeout(DEADLINE_S * 1000)
    yield page
    screenshot = output_folder() / f"{_file_name(request)}.png"
    if _failed(request) or browser_log.problems:
        page.screenshot(path=screenshot, full_page=True)
    elif os.environ.get("SHIP_E2E_RELEASE"):
        # For the release's report. A screenshot that fails must not fail the release.
        with suppress(PlaywrightError):
            page.screenshot(path=screenshot, full_page=True)
    assert not browser_log.problems


def _failed(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.stash.get(_FAILED, True))


def _file_name(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]+", "-", str(request.node.name)).strip("-")
