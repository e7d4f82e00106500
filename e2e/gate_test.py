"""The release gate on a sandbox with little traffic: bad releases are refused before they serve users."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.live_sandbox import Clone, LiveSandbox
from e2e.ship import Ship, ShipResult

NAME = "gated"


@dataclass(frozen=True)
class Fixture:
    """The fixture service under another name, deployed and live."""

    sandbox: LiveSandbox
    ship: Ship
    image: str

    def deploy(self, folder: Path, overrides: str, *words: str) -> ShipResult:
        """Deploys the same image with these overrides (TOML) of variables and gate policy."""
        file = self.sandbox.variant(folder, overrides)
        return self.ship("deploy", NAME, "--image", self.image, *words, env=file)

    @property
    def live(self) -> str:
        service = self.ship("status", NAME).expect_success().document["services"][0]
        return str(service["release"])


@pytest.fixture(scope="module")
def fixture(sandbox: LiveSandbox, clone: Clone) -> Iterator[Fixture]:
    folder = clone.root / "services" / NAME
    folder.mkdir(parents=True)
    text = (clone.root / "e2e" / "fixture" / "service.toml").read_text()
    text = text.replace('name = "fixture"', f'name = "{NAME}"').replace(
        "fixture.test", "gated.test"
    )
    (folder / "service.toml").write_text(text)
    ship = sandbox.ship.of(clone.root)
    result = ship("deploy", NAME).expect_success()
    image = ship("status", NAME).expect_success().document["services"][0]["image"]
    yield Fixture(sandbox, ship, str(image))
    shutil.rmtree(folder)
    assert result.document["outcome"] == "live"


def test_release_with_five_percent_errors_is_refused_with_the_evidence(
    fixture: Fixture, tmp_path: Path
) -> None:
    before = fixture.live
    enough = f"[services.{NAME}.gate]\nmin_requests = 300"
    bad = f'[services.{NAME}.env]\nFIXTURE_ERROR_SHARE = "0.05"\n{enough}'
    result = fixture.deploy(tmp_path, bad)
    assert (result.code, result.kind) == (1, "RevertedError")
    assert "the release gate refused" in result.error
    assert "was 0 of 300" in result.stderr
    assert re.search(r"fail: \d+ of \d+ requests( to \S+ on host-1)? failed \(", result.stderr)
    assert not any(step["step"] == "PointTraffic" for step in result.document["steps"])
    assert fixture.live == before
    page = tmp_path / "report.html"
    report = fixture.ship("report", NAME, "--out", str(page)).expect_success().document
    assert (report["outcome"], report["verdicts"][0]["outcome"]) == ("reverted", "fail")
    text = page.read_text()
    assert "the release gate refused" in text
    assert "env FIXTURE_ERROR_SHARE" in text
    assert "<svg" in text


def test_release_that_is_60_ms_slower_is_held_if_the_policy_says_hold(
    fixture: Fixture, tmp_path: Path
) -> None:
    before = fixture.live
    slow = (
        f'[services.{NAME}.env]\nFIXTURE_SLOW_MS = "60"\n[services.{NAME}.gate]\non_slower = "hold"'
    )
    result = fixture.deploy(tmp_path, slow)
    assert result.code == 4
    assert ": median " in result.error
    assert (result.document["outcome"], result.document["previous"]) == ("held", before)
    release = result.document["release"]
    assert "./ship promote --" in result.hint
    assert f" {NAME} --release {release}" in result.hint
    assert fixture.live == before
    fixture.ship("abort", NAME, "--release", release).expect_success()


def test_healthy_canary_passes_three_analyses_and_leaves_a_trace(
    fixture: Fixture, tmp_path: Path
) -> None:
    harmless = f'[services.{NAME}.env]\nLOG_LEVEL = "error"'
    result = fixture.deploy(tmp_path, harmless, "--canary", "20%").expect_success()
    assert result.document["outcome"] == "live"
    report = (
        fixture.ship("report", NAME, "--out", str(tmp_path / "r.html")).expect_success().document
    )
    assert [verdict["stage"] for verdict in report["verdicts"]] == ["trial", "canary", "users"]
    assert {verdict["outcome"] for verdict in report["verdicts"]} == {"pass"}
    traces = sorted((fixture.ship.root / "dist" / "deploys").glob(f"*-{NAME}-*.otlp.json"))
    spans = json.loads(traces[-1].read_text())["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert spans[0]["name"] == f"deploy {NAME}"
    assert {"AnalyseRelease", "ShareTraffic", "PointTraffic"} <= {span["name"] for span in spans}
