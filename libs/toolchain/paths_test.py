"""Tests of the folders."""

from pathlib import Path

from toolchain.paths import find_places


def test_xdg_variables_move_cache_and_state() -> None:
    places = find_places({"HOME": "/h", "XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "relative"})
    assert places.cache == Path("/c/py-cicd")
    assert places.state == Path("/h/.local/state/py-cicd")
    assert places.caches == (Path("/c/py-cicd"),)


def test_an_image_of_jobs_brings_tools() -> None:
    places = find_places({"HOME": "/h", "SHIP_TOOLS": "/opt/py-cicd"})
    assert places.caches == (Path("/h/.cache/py-cicd"), Path("/opt/py-cicd"))
