"""Tests of loading [gate] from a service file."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.adapters.config import loader
from deploy.core.config import Condition, Gate, Service
from deploy.errors import ConfigError

SERVICE = 'name = "app"\nimage = "services/app:image"\n'
GATE = """
[gate]
min_requests = 500
paths = []
alpha = 0.05
on_slower = "hold"

[[gate.conditions]]
name = "queue"
query = 'max(queue_length{release="$release"})'
at_most = 20
"""
CONDITION = Condition("queue", 'max(queue_length{release="$release"})', at_most=20)


def load(tmp_path: Path, text: str) -> Service:
    folder = tmp_path / "services" / "app"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "service.toml").write_text(SERVICE + text, encoding="utf-8")
    return loader.load_services(tmp_path)["app"]


def problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return caught.value.problems


def test_gate_is_loaded(tmp_path: Path) -> None:
    assert load(tmp_path, GATE).gate == Gate(
        min_requests=500, paths=(), alpha=0.05, on_slower="hold", conditions=(CONDITION,)
    )
    assert load(tmp_path, "").gate == Gate()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("500", "0", "gate.min_requests: should be at least 1"),
        ("0.05", "0.6", "gate.alpha: should be at most 0.5"),
        ('"hold"', '"wait"', "gate.on_slower: should be one of rollback, hold and continue"),
        ("at_most = 20", "", "gate.conditions[0]: needs at_most, at_least or both"),
        (
            "at_most = 20",
            "most = 20",
            "gate.conditions[0].most: unknown key; did you mean at_most? (docs/service-toml.md#gateconditions)",
        ),
        ("at_most = 20", "at_most = inf", "gate.conditions[0].at_most: should be a finite number"),
        ("paths = []", 'paths = ["home"]', 'gate.paths[0]: should be a path that starts with "/"'),
    ],
)
def test_wrong_value_is_reported_with_its_path(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert f"services/app/service.toml: {problem}" in problems(tmp_path, GATE.replace(old, new))
