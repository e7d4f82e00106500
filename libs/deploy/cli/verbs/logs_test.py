"""`ship logs`: what `--since` means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deploy.cli.verbs.logs import earliest
from deploy.errors import UsageError

NOW = datetime(2026, 11, 28, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "time"),
    [
        ("90s", "2026-11-28T11:59:00"),
        ("10m", "2026-11-28T11:50:30"),
        ("1h30m", "2026-11-28T10:30:30"),
        ("2026-11-28T10:00:00Z", "2026-11-28T10:00:00"),
        ("2026-11-28T10:00:00+02:00", "2026-11-28T08:00:00"),
        ("1764324000", "2025-11-28T10:00:00"),
        ("0", "1970-01-01T00:00:00"),
    ],
)
def test_since_is_a_duration_or_a_time(since: str, time: str) -> None:
    assert earliest(since, NOW) == time


@pytest.mark.parametrize("since", ["yesterday", "10 m", "-5m", "9e99", "1" * 40])
def test_other_text_is_refused_with_examples(since: str) -> None:
    with pytest.raises(UsageError, match="neither a duration nor a time") as refused:
        earliest(since, NOW)
    assert "1h30m" in refused.value.hint
