"""A report from simulated hosts: what it knows of a deploy that went live and of one that was taken back."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from deploy.core.commands import paths
from deploy.core.reports.page import render_report
from deploy.errors import UsageError
from deploy.run.queries.report import Known, gather
from deploy.run.rollout.gated_deploy_test import (
    FAILS,
    ONE,
    TWO,
    Scene,
)


def known(scene: Scene, release: str = "") -> Known:
    return gather(
        scene.fleet.hosts,
        "app",
        release,
        made_at="2026-11-24T05:00:00+00:00",
        tool_version="0.0.0",
    )


class _Tags(HTMLParser):
    """Finds what is opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "line", "rect", "polyline", "polygon"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def page(scene: Scene, release: str = "") -> str:
    text = render_report(known(scene, release).report)
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert not re.search(r"(src|href)=.?https?:", text)
    return text


def test_a_live_release_with_its_phases_verdicts_traffic_and_changes() -> None:
    scene = Scene("host-1", "host-2")
    scene.go("two")
    found = known(scene).report
    assert (found.chronicle.release, found.chronicle.outcome) == (TWO, "live")
    assert [stage for stage, _ in found.verdicts] == ["trial", "users"]
    assert found.traffic is not None
    assert sum(tally.requests for _, tally in found.traffic[TWO]) >= 600
    assert sum(tally.requests for _, tally in found.traffic[ONE]) >= 300
    assert {host for host, *_ in found.replicas} == {"host-1", "host-2"}
    assert [change.name for change in found.changes] == ["image"]
    assert found.image_bytes == (65_000_000, 65_000_000)
    text = page(scene)
    for words in ("before any user", "under all users", "AnalyseRelease", "PointTraffic", "<svg"):
        assert words in text


def test_a_release_that_was_taken_back_says_why() -> None:
    scene = Scene()
    scene.refused(bad=FAILS)
    found = known(scene).report
    assert (found.chronicle.outcome, found.chronicle.release) == ("reverted", TWO)
    assert found.verdicts[0][1].outcome == "fail"
    text = page(scene)
    assert "the gate refuses" in text
    assert "way back" in text
    assert 'class="pill fail"' in text


def test_an_older_release_is_found_by_its_id() -> None:
    scene = Scene()
    scene.go("two")
    assert known(scene, ONE).report.chronicle.release == ONE


def test_what_nobody_deployed_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as caught:
        known(Scene(), "r000099-aaaaaaa")
    assert "no host keeps a chronicle of r000099-aaaaaaa" in caught.value.message


def test_a_torn_chronicle_is_passed_over_for_another_hosts() -> None:
    scene = Scene("host-1", "host-2")
    scene.fleet["host-1"].files[f"{paths.rollout_logs('app')}/000001.json"] = b"{"
    assert known(scene).report.chronicle.release == ONE


def test_what_a_stranger_wrote_is_text_and_never_markup() -> None:
    scene = Scene()
    host = scene.fleet["host-1"]
    name = f"{paths.rollout_logs('app')}/000001.json"
    host.files[name] = host.files[name].replace(b'"who": "ada"', b'"who": "<script>x</script>"')
    assert "<script>" not in page(scene)
