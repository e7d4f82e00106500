from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain.pants_daemon import PantsDaemon, end_pants_daemon

DAEMON = """
import os, sys, time
from pathlib import Path
file = Path(sys.argv[1])
file.parent.mkdir(parents=True, exist_ok=True)
file.write_text(str(os.getpid()))
print("serves", flush=True)
while file.exists() or "busy" in sys.argv:
    time.sleep(0.01)
"""


@contextmanager
def daemon(checkout: Path, *more: str, name: str = "pantsd [x]") -> Iterator[subprocess.Popen[str]]:
    """A process with the name, folder and pid file of Pants' daemon. A `busy` one doesn't end."""
    file = checkout / ".pids" / "0123" / "pantsd" / "pid"
    with subprocess.Popen(
        [name, "-c", DAEMON, str(file), *more],
        executable=sys.executable,
        env={"PYTHONHOME": sys.base_prefix},  # else Python looks for its library beside the name
        cwd=checkout,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serves\n"
        yield process
        process.kill()


def test_the_daemon_of_the_checkout_ends(tmp_path: Path) -> None:
    with daemon(tmp_path) as process:
        assert end_pants_daemon(tmp_path) is PantsDaemon.ENDED
        process.wait(10)
    assert end_pants_daemon(tmp_path) is PantsDaemon.NONE


def test_a_daemon_that_serves_a_build_is_not_interrupted(tmp_path: Path) -> None:
    with daemon(tmp_path, "busy") as process:
        assert end_pants_daemon(tmp_path, timeout_s=0.2) is PantsDaemon.BUSY
        assert process.poll() is None


def test_a_process_that_only_has_the_number_of_an_old_daemon_is_left_alone(tmp_path: Path) -> None:
    with daemon(tmp_path, name="python3") as process:
        assert end_pants_daemon(tmp_path) is PantsDaemon.NONE
        assert process.poll() is None


def test_the_daemon_of_another_checkout_is_left_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    with daemon(other) as process:
        pids = one / ".pids" / "0123" / "pantsd"
        pids.mkdir(parents=True)
        (pids / "pid").write_text(str(process.pid))
        assert end_pants_daemon(one) is PantsDaemon.NONE
        assert process.poll() is None
