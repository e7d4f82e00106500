"""The fixtures of journeys and integration tests: a browser, a page that is watched, a stack of their own."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from e2e.browser_log import Witness
from e2e.chromium import FLAGS, find_chromium
from e2e.journey_results import Results, push
from e2e.rollouts import Rollouts
from e2e.ship import Ship
from e2e.stack import Clone, Stack, checkout, terminated_as_interrupt
from e2e.target import Target, output_folder, read_target

# What changes the stack for good comes last, in whatever order the files are given.
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
_RESULTS = pytest.StashKey[Results]()
_STEPS = pytest.StashKey[list[str]]()


def pytest_configure() -> None:
    # Ctrl-C reaches ./ship as from a terminal, though whoever started the tests ignore it, as `nohup` and `&` do.
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
        seen = item.stash.get(_STEPS, None)
        _results(item.config).take(
            item.name, passed=not report.failed, seconds=report.duration, steps=len(seen or ())
        )
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tells the run to whoever SHIP_E2E_PUSHGATEWAY names; its end is the run's own all the same."""
    if wrong := push(_results(session.config), _JOURNEYS.removesuffix("_test.py"), os.environ):
        print(f"the run's results could not be sent: {wrong}", file=sys.stderr)


def _results(config: pytest.Config) -> Results:
    return config.stash.setdefault(_RESULTS, Results())


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """What SHIP_E2E_URL names, else a stack that is made for these tests."""
    told = read_target()
    if told is not None:
        return told
    stack = request.getfixturevalue("stack")
    return Target(stack.url, stack.release)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A sandbox of the tests' own with the checkout deployed; removed however they end.

    SHIP_E2E_SANDBOX names one that is up and stays, for whoever works on a test.
    """
    if name := os.environ.get("SHIP_E2E_SANDBOX"):
        yield Stack(Ship(checkout(), name, tmp_path_factory.mktemp("ship")))
        return
    stack = Stack.named("test", tmp_path_factory.mktemp("ship"))
    with terminated_as_interrupt():
        try:
            stack.ship("up", "--yes", "--no-e2e").must()
            yield stack
        finally:
            stack.ship("down")
            left = stack.remains()
    assert left == []


@pytest.fixture(scope="session")
def clone(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone of the checkout, at a path with a space, that deploys to the same sandbox."""
    return Clone.of(stack.ship.root, tmp_path_factory.mktemp("clone") / "a clone")


@pytest.fixture(scope="session")
def rollouts(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Rollouts:
    """The fixture service, built and published once, to be rolled out on the stack."""
    return Rollouts.on(stack, tmp_path_factory.mktemp("rollouts"))


@pytest.fixture(scope="session")
def images(rollouts: Rollouts) -> tuple[str, str]:
    """Two images of the fixture that do the same."""
    return rollouts.image, rollouts.another_image()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(params=[{"viewport": {"width": 1280, "height": 800}}], ids=["desktop"])
def context(
    request: pytest.FixtureRequest, browser: Browser, target: Target
) -> Iterator[BrowserContext]:
    """A browser of its own for each journey. A failed one leaves its trace."""
    with browser.new_context(
        base_url=target.url, reduced_motion="reduce", **request.param
    ) as context:
        context.tracing.start(screenshots=True, snapshots=True)
        if os.environ.get("SHIP_E2E_PUSHGATEWAY"):
            _results(request.config).vitals.watch(context)
        steps = request.node.stash.setdefault(_STEPS, [])
        context.on(
            "request", lambda each: steps.append(each.url) if each.is_navigation_request() else None
        )
        yield context
        kept = output_folder() / f"{_file_name(request)}.zip" if _failed(request) else None
        context.tracing.stop(path=kept)


@pytest.fixture
def witness(context: BrowserContext, target: Target) -> Witness:
    return Witness(context, target.url)


@pytest.fixture
def page(
    request: pytest.FixtureRequest, context: BrowserContext, witness: Witness
) -> Iterator[Page]:
    """A watched page. Whatever the journey, it must end without a problem that the witness saw."""
    page = context.new_page()
    page.set_default_timeout(10_000)
    yield page
    picture = output_folder() / f"{_file_name(request)}.png"
    if _failed(request) or witness.problems:
        page.screenshot(path=picture, full_page=True)
    elif os.environ.get("SHIP_E2E_RELEASE"):
        # For the release's report; one that can't be taken says nothing of the release.
        with suppress(PlaywrightError):
            page.screenshot(path=picture, full_page=True)
    assert not witness.problems


def _failed(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.stash.get(_FAILED, True))


def _file_name(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]+", "-", str(request.node.name)).strip("-")
