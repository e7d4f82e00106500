"""Tests of tools: installed completely or not at all, and built once, also by two clones at the same time."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain.tools.tool import Tool, install_tool


def tool_with(build: Callable[[Path, Path], None], *inputs: str) -> Tool:
    return Tool("tools", "thing", "a thing", inputs, download_mb=1, seconds=1, build=build)


def test_a_tool_is_built_once_and_found_afterwards(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(staging: Path, folder: Path) -> None:
        (staging / "file").write_text("x")
        built.append(folder)

    tool = tool_with(build, "a")
    assert install_tool(tool, tmp_path) == install_tool(tool, tmp_path) == tool.folder(tmp_path)
    assert built == [tool.folder(tmp_path)]
    assert (tool.folder(tmp_path) / "file").read_text() == "x"


def test_a_preinstalled_tool_is_not_built(tmp_path: Path) -> None:
    own, preinstalled = tmp_path / "own", tmp_path / "preinstalled"
    built: list[Path] = []
    tool = tool_with(lambda staging, folder: built.append(folder), "a")
    folder = install_tool(tool, preinstalled)
    assert install_tool(tool, own, preinstalled) == tool.folder(own, preinstalled) == folder
    installed = (tool.is_installed(own, preinstalled), tool.is_installed(own))
    assert (built, *installed) == ([folder], True, False)
    newer = tool_with(lambda staging, folder: built.append(folder), "b")
    assert install_tool(newer, own, preinstalled) == newer.folder(own)


def test_a_failed_build_leaves_no_tool_and_the_next_one_starts_empty(tmp_path: Path) -> None:
    def fail(staging: Path, folder: Path) -> None:
        (staging / "half").touch()
        raise RuntimeError

    def build(staging: Path, folder: Path) -> None:
        (staging / "all").touch()

    with pytest.raises(RuntimeError):
        install_tool(tool_with(fail), tmp_path)
    assert not tool_with(fail).is_installed(tmp_path)
    folder = install_tool(tool_with(build), tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["all", "made.json"]


def test_the_folder_depends_on_the_inputs(tmp_path: Path) -> None:
    def build(staging: Path, folder: Path) -> None: ...

    assert tool_with(build, "a", "b").folder(tmp_path) != tool_with(build, "ab").folder(tmp_path)
    assert tool_with(build, "a").folder(tmp_path) == tool_with(build, "a").folder(tmp_path)


def test_clones_that_install_at_the_same_time_build_a_tool_once(tmp_path: Path) -> None:
    built: list[str] = []

    def build(staging: Path, folder: Path) -> None:
        time.sleep(0.05)
        built.append(threading.current_thread().name)

    clones = [
        threading.Thread(target=install_tool, args=(tool_with(build), tmp_path)) for _ in range(4)
    ]
    for clone in clones:
        clone.start()
    for clone in clones:
        clone.join()
    assert len(built) == 1
