"""Tests of what is read from `docker stats`."""

from __future__ import annotations

import pytest

from bench.idle import memory_of


def test_memory_is_read_in_bytes() -> None:
    lines = "app-1 35.5MiB / 256MiB\nedge 912KiB / 23.5GiB\n"
    assert memory_of(lines) == {"app-1": 35.5 * 2**20, "edge": 912 * 2**10}


def test_a_line_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="app-1 --"):
        memory_of("app-1 -- / --")
