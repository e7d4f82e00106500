"""Maintenance: users get a page, requests in flight finish, and a deploy works while the service is closed."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from e2e.live_sandbox import LiveSandbox
from e2e.loadgen.process import running_gets
from e2e.ship import until


def test_maintenance_shows_a_page_and_a_deploy_works_behind_it(
    sandbox: LiveSandbox, tmp_path: Path
) -> None:
    before = sandbox.service()
    with running_gets(sandbox.url, rate=30) as load:
        load.await_rows(31)
        closed = sandbox.ship("maintenance", "on", "app").expect_success()
        closed_at = time.time()
        with pytest.raises(HTTPError) as refused:
            urlopen(sandbox.url, timeout=5)  # noqa: S310 - our own sandbox
        page = refused.value.read().decode()
        again = sandbox.ship("maintenance", "on", "app").expect_success()
        changed = sandbox.variant(
            tmp_path,
            '[services.app.env]\nLOG_LEVEL = "critical"\n[services.app.rollout]\nwatch_s = 0',
        )
        words = ("deploy", "app", "--image", before["image"])
        deployed = sandbox.ship(*words, env=changed).expect_success()
        during = sandbox.service()
        opening_at = time.time()
        opened = sandbox.ship("maintenance", "off", "app").expect_success()
        open_at = time.time()
        until(lambda: len(load.record.between(open_at).rows) > 30, within_s=10)
    assert (closed.document["outcome"], again.document["outcome"]) == ("closed", "unchanged")
    assert closed.document["release"] == before["release"]
    assert refused.value.code == 503
    assert refused.value.headers["Retry-After"] == "60"
    assert refused.value.headers["X-Release"] == "none"
    assert "Back soon" in page
    assert deployed.document["outcome"] == "live"
    assert [host["maintenance"] for host in during["hosts"]] == [True]
    assert (during["release"], during["drift"]) == (deployed.document["release"], [])
    assert opened.document["outcome"] == "open"
    record = load.record
    # Every request gets a complete response: 200, or the page's 503.
    assert {row.status for row in record.rows} == {200, 503}, str(record)
    while_closed = record.between(closed_at, opening_at)
    assert {row.status for row in while_closed.rows} == {503}
    after = record.between(open_at)
    assert set(after.releases) == {during["release"]}
    assert not after.lost, str(after)


def test_maintenance_of_an_unknown_service_is_refused(sandbox: LiveSandbox) -> None:
    result = sandbox.ship("maintenance", "on", "nowhere")
    assert (result.code, result.kind) == (2, "UsageError")
    off = sandbox.ship("maintenance", "off", "app").expect_success()
    assert off.document["outcome"] == "unchanged"
