import os
import subprocess
import sys
import time
from pathlib import Path

from toolchain.builds import building, no_build


def test_images_are_removed_only_while_no_build_runs(tmp_path: Path) -> None:
    with building(tmp_path), building(tmp_path), no_build(tmp_path) as alone:
        assert not alone
    with no_build(tmp_path) as alone:
        assert alone


def _becomes_alone(state: Path) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with no_build(state) as alone:
            if alone:
                return True
        time.sleep(0.01)
    return False


def test_a_build_needs_no_folder_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with building(tmp_path / "file" / "state"):
        pass


def test_a_program_that_replaces_this_one_still_counts_as_a_build(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from toolchain.builds import mark_program;"
        f" mark_program(Path({os.fspath(tmp_path)!r})); os.execvp('cat', ['cat'])"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("it runs\n")
        process.stdin.flush()
        assert process.stdout.readline() == "it runs\n"
        with no_build(tmp_path) as alone:
            assert not alone
        process.stdin.close()
        process.wait(30)
    assert _becomes_alone(tmp_path)
