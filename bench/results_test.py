"""Tests of the figures, the table and the file of a run."""

from __future__ import annotations

import pytest

from bench.figures import BY_KEY, FIGURES, Figure, Unit
from bench.results import Bar, Run, ratio, render

RUN = Run(
    revision="abc",
    date="2026-01-02",
    machine={"cores": "2", "load before": "0.1"},
    project={"rollback_s": 2.5, "image_gzip_bytes": 19e6, "home_per_s": 1400.0},
    plain={"image_gzip_bytes": 20e6, "home_per_s": 1000.0},
    failed={"idle": "the engine is gone"},
    deploy=(
        Bar("start", "StartReplicas", 0.5, 1.2),
        Bar("watch", "WatchRelease", 2.0, 5.0, wait=True),
    ),
)


def test_the_table_shows_both_ways_their_ratio_and_the_aim() -> None:
    assert render(RUN).splitlines() == [
        "                       this project  plain Compose  ratio        reach  reached",
        "rollback: the command        2.50 s                             3.00 s      yes",
        "image, gzipped              19.0 MB        20.0 MB   0.95      18.0 MB       no",
        "GET / through nginx         1400 /s        1000 /s   1.40  1.3 x plain      yes",
        "",
        "cores 2, load before 0.1",
        "not measured: idle: the engine is gone",
    ]


def test_a_file_returns_the_same_run() -> None:
    assert Run.parse(RUN.dump()) == RUN


def test_there_is_no_ratio_to_zero() -> None:
    assert ratio(3, 0) == "-"


def test_keys_are_unique() -> None:
    assert len(BY_KEY) == len(FIGURES)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (Unit.SECONDS, 0.016, "16 ms"),
        (Unit.SECONDS, 2.5, "2.50 s"),
        (Unit.BYTES, 19_400, "19.4 kB"),
        (Unit.BYTES, 17_900_000, "17.9 MB"),
        (Unit.PERCENT, 0.5, "0.50 %"),
        (Unit.PER_SECOND, 1389.4, "1389 /s"),
        (Unit.MICROSECONDS, 18.25, "18.2 us"),
        (Unit.COUNT, 11, "11"),
    ],
)
def test_values_are_shown_with_their_unit(unit: Unit, value: float, text: str) -> None:
    assert Figure("key", "name", unit).text(value) == text


@pytest.mark.parametrize(
    ("figure", "project", "plain", "reached"),
    [
        (Figure("k", "n", Unit.SECONDS, reach=1.0), 1.0, None, True),
        (Figure("k", "n", Unit.SECONDS, reach=1.0), 1.1, 5.0, False),
        (Figure("k", "n", Unit.SECONDS), 1.0, 1.0, None),
        (Figure("k", "n", Unit.PER_SECOND, "more", 1.3, True), 131.0, 100.0, True),
        (Figure("k", "n", Unit.PER_SECOND, "more", 1.3, True), 129.0, 100.0, False),
        (Figure("k", "n", Unit.PER_SECOND, "more", 1.3, True), 129.0, None, None),
    ],
)
def test_an_aim_is_reached_or_not(
    figure: Figure, project: float, plain: float | None, reached: bool | None
) -> None:
    assert figure.reached(project, plain) is reached
