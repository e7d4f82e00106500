"""Tests of the table."""

from __future__ import annotations

from bench.results import Results, ratio, render

PROJECT = Results(60_000_000, 40_000, 0.8, 900.0, 9.0, 14.0, 1200, 0, 0.05)
PLAIN = Results(75_000_000, 80_000, 1.6, 900.0, 12.0, 7.0, 1000, 250, 2.0)


def test_the_table_shows_both_results_and_their_ratio() -> None:
    assert render(PROJECT, PLAIN).splitlines() == [
        "                                    this project  plain Compose  ratio",
        "image size                               60.0 MB        75.0 MB   0.80  less is better",
        "pushed after a one-line change           40.0 kB        80.0 kB   0.50  less is better",
        "start to first answer                     0.80 s         1.60 s   0.50  less is better",
        "GET /api/monitor through nginx            900 /s         900 /s   1.00  more is better",
        "requests lost in a redeploy            0 of 1200    250 of 1000   0.00  less is better",
        "p99 of answered requests                   50 ms        2000 ms   0.03  less is better",
        "all users on the new release after         9.0 s         12.0 s   0.75  less is better",
        "the command ends after                    14.0 s          7.0 s   2.00  less is better",
    ]


def test_there_is_no_ratio_to_zero() -> None:
    assert ratio(3, 0) == "-"
