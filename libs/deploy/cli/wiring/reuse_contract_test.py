"""Checks that `ship test` reuses no result that `ship affected` would not trust."""

from __future__ import annotations

import pytest

from deploy.core.ci.selection import EVERYTHING_FILES
from toolchain.closure import SHARED_FILES, SHARED_FOLDERS


@pytest.mark.parametrize("pattern", EVERYTHING_FILES)
def test_a_file_that_selects_everything_changes_the_key_of_every_result(pattern: str) -> None:
    if pattern == "BUILD":  # the keys contain every BUILD file
        return
    examples = {
        "pants.*.toml": "pants.ci.toml",
        ".pants.*": ".pants.bootstrap",
        "deploy/*.yml": "deploy/compose.yml",
    }
    path = examples.get(pattern, pattern)
    assert path in SHARED_FILES or path.startswith(tuple(f"{each}/" for each in SHARED_FOLDERS))
