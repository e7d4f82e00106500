"""Tests of what is read from `docker stats`."""

from __future__ import annotations

import pytest

from bench.idle import Usage, mean_of, memory_of


def test_memory_is_read_in_bytes() -> None:
    lines = "app-1 35.5MiB / 256MiB\nedge 912KiB / 23.5GiB\n"
    assert memory_of(lines) == {"app-1": 35.5 * 2**20, "edge": 912 * 2**10}


def test_a_line_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="app-1 --"):
        memory_of("app-1 -- / --")


def test_the_mean_is_of_the_containers_whose_names_start_so() -> None:
    used = {"app-1": Usage(10.0, 1.0), "app-2": Usage(30.0, 2.0), "edge": Usage(5.0, 9.0)}
    assert mean_of(used, "app-") == Usage(20.0, 1.5)
