"""Tests of where the folders are."""

from pathlib import Path

from toolchain.paths import find_paths


def test_xdg_variables_move_cache_and_state() -> None:
    paths = find_paths({"HOME": "/h", "XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "relative"})
    assert paths.cache == Path("/c/py-cicd")
    assert paths.state == Path("/h/.local/state/py-cicd")
    assert paths.caches == (Path("/c/py-cicd"),)


def test_tools_of_a_job_image_are_found_after_the_cache() -> None:
    paths = find_paths({"HOME": "/h", "SHIP_TOOLS": "/opt/py-cicd"})
    assert paths.caches == (Path("/h/.cache/py-cicd"), Path("/opt/py-cicd"))
