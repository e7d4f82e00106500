"""The table keeps Prometheus' naming rules."""

import re

import pytest

from telemetry.catalog import CATALOG, REQUEST_DURATION, Metric

# https://prometheus.io/docs/practices/naming/ ; these come from the targets.
_TARGET_LABELS = {"service", "release", "replica", "host", "instance", "job"}


@pytest.mark.parametrize("metric", CATALOG, ids=lambda metric: metric.name)
def test_each_row_is_complete(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z]", metric.name)
    assert metric.help.endswith(".")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith(metric.unit)
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(metric.buckets)
    assert not _TARGET_LABELS & set(metric.labels)


def test_names_are_unique() -> None:
    assert len({metric.name for metric in CATALOG}) == len(CATALOG)


def test_the_latency_objective_ends_a_bucket() -> None:
    assert 0.25 in REQUEST_DURATION.buckets
