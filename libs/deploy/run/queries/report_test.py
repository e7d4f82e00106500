"""Reports from simulated hosts, of a rollout that went live and of one that was reverted."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from deploy.adapters.report_page import render_page
from deploy.core.analysis.access_log import Origin
from deploy.core.commands import paths
from deploy.core.planning.requests import ScaleCommand
from deploy.core.reports.page import page_of
from deploy.core.reports.rollout_log import parse_rollout_log
from deploy.errors import UsageError
from deploy.run.queries.report import Known, gather
from deploy.run.rollout.deploy import scale
from deploy.run.rollout.gated_deploy_test import FAILS, Scene
from deploy.run.rollout.rollout_fixture import (
    ONE,
    TWO,
    context,
    deploy_command,
    live_fleet,
    quiet,
    run_deploy,
)
from deploy.testing import factories


def known(scene: Scene, release: str | None = None) -> Known:
    return gather(
        scene.fleet.hosts,
        "app",
        release,
        made_at="2026-11-24T05:00:00+00:00",
        tool_version="0.0.0",
    )


class _Tags(HTMLParser):
    """Finds tags that are opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "line", "rect", "polyline", "polygon", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def page(scene: Scene) -> str:
    text = render_page(page_of(known(scene).report))
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert not re.search(r"(src|href)=.?https?:", text)
    return text


def test_the_report_of_a_live_release_has_phases_verdicts_requests_and_changes() -> None:
    scene = Scene("host-1", "host-2")
    scene.go("two")
    found = known(scene).report
    assert (found.log.release, found.log.outcome) == (TWO, "live")
    assert [stage for stage, _ in found.verdicts] == ["trial", "users"]
    assert found.traffic is not None
    sent = {
        key: sum(stats.requests for _, stats in moments) for key, moments in found.traffic.items()
    }
    assert sent[TWO, Origin.SYNTHETIC] >= 600
    assert sent[ONE, Origin.SYNTHETIC] >= 300
    assert (TWO, Origin.USERS) not in sent
    assert {host for host, *_ in found.replicas} == {"host-1", "host-2"}
    assert [change.name for change in found.changes] == ["image"]
    assert found.image_bytes == (65_000_000, 65_000_000)
    text = page(scene)
    for words in ("before any user", "with all users", "AnalyseRelease", "PointTraffic", "<svg"):
        assert words in text


def test_the_report_of_a_reverted_release_says_why() -> None:
    scene = Scene()
    scene.refused(bad=FAILS)
    found = known(scene).report
    assert (found.log.outcome, found.log.release) == ("reverted", TWO)
    assert found.verdicts[0][1].outcome == "fail"
    text = page(scene)
    assert "the release gate refused" in text
    assert "revert" in text
    assert 'class="pill fail"' in text


def test_a_refused_release_with_a_changed_setting_shows_the_change_and_its_image() -> None:
    scene = Scene()
    scene.refused(bad=FAILS, color="blue")
    found = known(scene).report
    assert [change.name for change in found.changes] == ["env COLOR", "image"]
    assert "env COLOR" in page(scene)
    assert ">?<" not in page(scene)


def test_values_are_those_of_the_rollout_and_not_of_today() -> None:
    fleet = live_fleet("host-1")
    run_deploy(fleet, deploy_command(fleet, "two", factories.service(color="blue")))
    scaled = ScaleCommand(factories.service(), factories.ORIGIN, 5)
    scale(scaled, context(fleet), quiet)

    def names(release: str, turn: int) -> list[tuple[str, str, str]]:
        log = fleet["host-1"].files[f"{paths.rollout_logs('app')}/{turn:06d}.json"]
        found = parse_rollout_log(log.decode())
        assert found.release == release
        return [(each.name, each.before, each.after) for each in found.changes or ()]

    assert [name for name, *_ in names(TWO, 2)] == ["env COLOR", "image"]
    assert names(TWO, 3) == [("replicas", "3", "5")]
    report = gather(fleet.hosts, "app", None, made_at="", tool_version="").report
    assert [(each.name, each.before, each.after) for each in report.changes] == names(TWO, 3)


def test_an_older_release_is_found_by_its_id() -> None:
    scene = Scene()
    scene.go("two")
    assert known(scene, ONE).report.log.release == ONE


def test_an_unknown_release_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as caught:
        known(Scene(), "r000099-aaaaaaa")
    assert "no host has a rollout log of app r000099-aaaaaaa" in caught.value.message


def test_a_damaged_log_on_one_host_is_replaced_by_another_hosts() -> None:
    scene = Scene("host-1", "host-2")
    scene.fleet["host-1"].files[f"{paths.rollout_logs('app')}/000001.json"] = b"{"
    assert known(scene).report.log.release == ONE


def test_text_from_hosts_is_never_markup() -> None:
    scene = Scene()
    host = scene.fleet["host-1"]
    name = f"{paths.rollout_logs('app')}/000001.json"
    host.files[name] = host.files[name].replace(b'"who": "ada"', b'"who": "<script>x</script>"')
    assert "<script>" not in page(scene)
