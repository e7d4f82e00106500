"""`ship demo` tells its story to the end, within its time, and leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from e2e.live_sandbox import LiveSandbox

LONGEST_S = 300.0


def test_the_demo_goes_as_told_within_five_minutes(tmp_path: Path) -> None:
    sandbox = LiveSandbox.named("test", tmp_path / "logs")
    recording = tmp_path / "demo.svg"
    document = sandbox.ship("demo", "--record", str(recording)).expect_success().document
    assert document["seconds"] < LONGEST_S
    assert set(document["chapters"]) == {"deploy", "throws", "slow", "killed", "rollback"}
    assert document["requests"] > 1000
    assert document["lost"] == 0
    ET.parse(recording)  # noqa: S314 - our own
    own = replace(sandbox.ship, sandbox=document["sandbox"])
    assert LiveSandbox(own).remains() == []
