"""Tests that a failed measurement is reported beside the others."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bench.measurements import Measurements


def test_a_failure_keeps_the_other_values() -> None:
    def fail() -> Mapping[str, float]:
        raise RuntimeError("nothing answers")

    measurements = Measurements("plain Compose")
    measurements.take("requests", fail)
    measurements.take("start", lambda: {"first_answer_s": 0.5})
    assert measurements.values == {"first_answer_s": 0.5}
    assert measurements.failed == {"plain Compose: requests": "nothing answers"}


def test_a_value_without_a_figure_is_an_error() -> None:
    with pytest.raises(KeyError):
        Measurements("this project").take("requests", lambda: {"nothing": 1.0})
