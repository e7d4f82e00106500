"""A service closed for its users and opened again, with a release rolled out behind the closed door."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from e2e.loadgen.load import Load
from e2e.ship import until
from e2e.stack import Stack


def test_users_meet_a_page_requests_in_flight_finish_and_a_deploy_goes_on_behind_it(
    stack: Stack, tmp_path: Path
) -> None:
    before = stack.service()
    with Load(stack.url, rate=30) as load:
        until(lambda: len(load.report.answers) > 30, within_s=10)
        closed = stack.ship("maintenance", "on", "app").must()
        shut = time.monotonic()
        with pytest.raises(HTTPError) as met:
            urlopen(stack.url, timeout=5)  # noqa: S310 - our own stack
        page = met.value.read().decode()
        again = stack.ship("maintenance", "on", "app").must()
        changed = stack.variant(
            tmp_path,
            '[services.app.env]\nLOG_LEVEL = "critical"\n[services.app.rollout]\nwatch_s = 0',
        )
        behind = stack.ship("deploy", "app", "--image", before["image"], env=changed).must()
        during = stack.service()
        opening = time.monotonic()
        opened = stack.ship("maintenance", "off", "app").must()
        back = time.monotonic()
        until(lambda: len(load.report.since(back).answers) > 30, within_s=10)
    assert (closed.document["outcome"], again.document["outcome"]) == ("closed", "unchanged")
    assert closed.document["release"] == before["release"]
    assert met.value.code == 503
    assert met.value.headers["Retry-After"] == "60"
    assert met.value.headers["X-Release"] == "none"
    assert "Back soon" in page
    assert behind.document["outcome"] == "live"
    assert [host["maintenance"] for host in during["hosts"]] == [True]
    assert (during["release"], during["drift"]) == (behind.document["release"], [])
    assert opened.document["outcome"] == "open"
    answers = load.report.answers
    # Nobody is cut off: who isn't let in is told so.
    assert {answer.status for answer in answers} == {200, 503}, str(load.report)
    while_closed = [each for each in answers if shut <= each.due < opening]
    assert {each.status for each in while_closed} == {503}
    assert set(load.report.since(back).releases) == {during["release"]}
    assert not load.report.since(back).lost, str(load.report)


def test_a_service_that_nobody_knows_can_not_be_closed(stack: Stack) -> None:
    ended = stack.ship("maintenance", "on", "nowhere")
    assert (ended.code, ended.kind) == (2, "UsageError")
    assert stack.ship("maintenance", "off", "app").must().document["outcome"] == "unchanged"
