"""The significance tests: equal to scipy's results, and right at their limits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from deploy.core.analysis.significance import (
    fisher_more,
    mann_whitney_more,
    quantile,
    wilson,
)

ORACLE: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("significance_oracle.json").read_text(encoding="utf-8")
)


def test_wilson_bounds_equal_scipys() -> None:
    assert len(ORACLE["wilson"]) > 40
    for case in ORACLE["wilson"]:
        bounds = wilson(case["hits"], case["total"], case["alpha"])
        assert bounds == pytest.approx((case["low"], case["high"]), rel=1e-9, abs=1e-12), case


def test_fisher_p_equals_scipys() -> None:
    assert len(ORACLE["fisher"]) > 60
    for case in ORACLE["fisher"]:
        given = (case[name] for name in ("new_hits", "new_total", "old_hits", "old_total"))
        assert fisher_more(*given) == pytest.approx(case["p"], rel=1e-6, abs=1e-12), case


def test_mann_whitney_p_and_delta_equal_scipys() -> None:
    assert len(ORACLE["mann_whitney"]) > 50
    for case in ORACLE["mann_whitney"]:
        shift = mann_whitney_more(case["new"], case["old"])
        assert shift.p == pytest.approx(case["p"], rel=1e-6, abs=1e-14)
        assert shift.delta == pytest.approx(case["delta"], abs=1e-9)


def test_without_counts_nothing_is_significant() -> None:
    assert wilson(0, 0, 0.05) == (0.0, 1.0)
    assert fisher_more(0, 0, 0, 0) == 1.0
    assert fisher_more(0, 0, 5, 10) == 1.0
    assert mann_whitney_more((0, 0), (3, 1)) == mann_whitney_more((3, 1), (0, 0))
    assert mann_whitney_more((0, 0), (3, 1)).p == 1.0
    assert math.isnan(quantile((0, 0), (1.0,), 0.5))


def test_counts_in_one_bucket_show_no_shift() -> None:
    shift = mann_whitney_more((0, 9, 0), (0, 7, 0))
    assert (shift.p, shift.delta) == (1.0, 0.0)


def test_different_buckets_are_refused() -> None:
    with pytest.raises(ValueError, match="the same buckets"):
        mann_whitney_more((1, 2), (1, 2, 3))


def test_quantiles_are_interpolated_within_a_bucket() -> None:
    assert quantile((0, 10, 0), (1.0, 3.0), 0.5) == 2.0
    assert quantile((10, 10, 0), (1.0, 3.0), 0.5) == 1.0
    assert quantile((0, 0, 4), (1.0, 3.0), 0.5) == 3.0
    assert quantile((4, 0, 4), (1.0, 3.0), 0.25) == 0.5
