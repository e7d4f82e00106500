"""Tests of the telemetry benchmark, independent of the machine's speed."""

from __future__ import annotations

from bench.telemetry import Cost, measure, render


def test_every_variant_is_measured_against_the_bare_view() -> None:
    bare, metrics, *others = measure(rounds=2, requests=3)
    assert (bare.name, bare.added_us) == ("bare view", 0.0)
    assert metrics.name == "metrics"
    assert [cost.name for cost in others] == [
        "metrics, traces at 1 %",
        "metrics, traces at 100 %",
        "metrics, a log line each",
    ]
    assert all(cost.request_us > 0 for cost in (bare, metrics, *others))


def test_ratios_are_relative_to_the_bare_view() -> None:
    shown = render([Cost("bare view", 100.0, 0.0), Cost("metrics", 118.0, 18.0)])
    assert shown.splitlines()[2].split() == ["metrics", "118", "us", "18.0", "us", "1.18"]
