"""The record of a drain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.core.state.draining import (
    Draining,
    DrainingReplica,
    dump_draining,
    parse_draining,
)

DRAINING = Draining(
    "app",
    "r000001-3f9c2ab",
    7,
    (
        DrainingReplica("0c1d", "app-r000001-1", "10.213.0.65"),
        DrainingReplica("0c1e", "app-r000001-2", "10.213.0.66"),
    ),
    begun_s=1_700_000_000.0,
    deadline_s=1_700_000_030.0,
    workers=(71, 72),
)


@pytest.mark.parametrize("workers", [(71,), (), None])
def test_a_record_is_read_as_it_was_written(workers: tuple[int, ...] | None) -> None:
    draining = replace(DRAINING, workers=workers)
    assert parse_draining(dump_draining(draining)) == draining


def test_a_record_of_a_newer_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 2"):
        parse_draining(dump_draining(replace(DRAINING, format=2)))


def test_a_drain_is_overdue_some_time_after_its_deadline() -> None:
    assert not DRAINING.is_overdue(DRAINING.deadline_s + 29)
    assert DRAINING.is_overdue(DRAINING.deadline_s + 31)


def test_a_drain_covers_the_containers_that_it_names() -> None:
    assert DRAINING.covers(["0c1d"])
    assert not DRAINING.covers(["0c1d", "another"])
    assert DRAINING.names_any(["app-r000001-2", "app-r000001-3"])
    assert not DRAINING.names_any(["app-r000001-3"])
