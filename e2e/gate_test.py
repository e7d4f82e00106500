"""The gate on real hosts, at the thin traffic of a sandbox: bad releases are refused before a user meets them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.ship import Ended, Ship
from e2e.stack import Clone, Stack

NAME = "gated"


@dataclass(frozen=True)
class Fixture:
    """The fixture service under a name of its own, live, deployed from a clone that has it."""

    stack: Stack
    ship: Ship
    image: str

    def deploy(self, folder: Path, told: str, *words: str) -> Ended:
        """Rolls the same image out with other variables and another policy."""
        file = self.stack.variant(folder, told)
        return self.ship("deploy", NAME, "--image", self.image, *words, env=file)

    @property
    def live(self) -> str:
        found = self.ship("status", NAME).must().document["services"][0]
        return str(found["release"])


@pytest.fixture(scope="module")
def fixture(stack: Stack, clone: Clone) -> Iterator[Fixture]:
    folder = clone.root / "services" / NAME
    folder.mkdir(parents=True)
    text = (clone.root / "e2e" / "fixture" / "service.toml").read_text()
    text = text.replace('name = "fixture"', f'name = "{NAME}"').replace(
        "fixture.test", "gated.test"
    )
    (folder / "service.toml").write_text(text)
    ship = stack.ship.of(clone.root)
    ended = ship("deploy", NAME).must()
    image = ship("status", NAME).must().document["services"][0]["image"]
    yield Fixture(stack, ship, str(image))
    shutil.rmtree(folder)
    assert ended.document["outcome"] == "live"


def test_five_errors_in_a_hundred_are_refused_with_the_evidence(
    fixture: Fixture, tmp_path: Path
) -> None:
    before = fixture.live
    enough = f"[services.{NAME}.gate]\nmin_requests = 300"
    bad = f'[services.{NAME}.env]\nFIXTURE_ERROR_SHARE = "0.05"\n{enough}'
    ended = fixture.deploy(tmp_path, bad)
    assert (ended.code, ended.kind) == (1, "RevertedError")
    assert "the gate refuses" in ended.error
    assert "against 0 of 300" in ended.said
    assert "errors: fail" in ended.said
    assert not any(each["step"] == "PointTraffic" for each in ended.document["steps"])
    assert fixture.live == before
    page = tmp_path / "report.html"
    report = fixture.ship("report", NAME, "--out", str(page)).must().document
    assert (report["outcome"], report["verdicts"][0]["outcome"]) == ("reverted", "fail")
    text = page.read_text()
    assert "the gate refuses" in text
    assert "<svg" in text


def test_sixty_milliseconds_more_are_held_where_the_policy_says_so(
    fixture: Fixture, tmp_path: Path
) -> None:
    before = fixture.live
    slow = (
        f'[services.{NAME}.env]\nFIXTURE_SLOW_MS = "60"\n[services.{NAME}.gate]\non_slower = "hold"'
    )
    ended = fixture.deploy(tmp_path, slow)
    assert ended.code == 4
    assert "latency: median" in ended.error
    assert (ended.document["outcome"], ended.document["previous"]) == ("held", before)
    release = ended.document["release"]
    assert "./ship promote --" in ended.hint
    assert f" {NAME} --release {release}" in ended.hint
    assert fixture.live == before
    fixture.ship("abort", NAME, "--release", release).must()


def test_a_healthy_canary_passes_three_judgements_and_its_trace_is_left(
    fixture: Fixture, tmp_path: Path
) -> None:
    well = f'[services.{NAME}.env]\nLOG_LEVEL = "error"'
    ended = fixture.deploy(tmp_path, well, "--canary", "20%").must()
    assert ended.document["outcome"] == "live"
    report = fixture.ship("report", NAME, "--out", str(tmp_path / "r.html")).must().document
    assert [each["stage"] for each in report["verdicts"]] == ["trial", "canary", "users"]
    assert {each["outcome"] for each in report["verdicts"]} == {"pass"}
    traces = sorted((fixture.ship.root / "dist" / "deploys").glob(f"*-{NAME}-*.otlp.json"))
    spans = json.loads(traces[-1].read_text())["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert spans[0]["name"] == f"deploy {NAME}"
    assert {"JudgeRelease", "ShareTraffic", "PointTraffic"} <= {each["name"] for each in spans}
