"""The metric catalog follows Prometheus' naming rules."""

import re

import pytest

from telemetry.catalog import CATALOG, REQUEST_DURATION, Metric

# Prometheus adds these from the target files. Naming: https://prometheus.io/docs/practices/naming/
_TARGET_LABELS = {"service", "release", "replica", "host", "instance", "job"}


@pytest.mark.parametrize("metric", CATALOG, ids=lambda metric: metric.name)
def test_each_metric_is_complete_and_well_named(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z]", metric.name)
    assert metric.help.endswith(".")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith(metric.unit or "")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(metric.buckets)
    assert not _TARGET_LABELS & set(metric.labels)


def test_names_are_unique() -> None:
    assert len({metric.name for metric in CATALOG}) == len(CATALOG)


def test_a_bucket_ends_at_the_latency_objective() -> None:
    assert 0.25 in REQUEST_DURATION.buckets
