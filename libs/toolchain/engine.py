"""The machine's Docker engine: uses one that answers, starts one that doesn't, stops only its own.

An engine started here runs in a session of its own, so Ctrl-C in the terminal never reaches it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import PersonNeededError, ToolchainError
from toolchain.machine import SYSTEM_PATHS, Machine, this_machine
from toolchain.paths import Places, find_places
from toolchain.process import run

SOCKET = "/var/run/docker.sock"
PID_FILE = Path("/var/run/docker.pid")
CONTAINERD_PID_FILE = Path("/var/run/docker/containerd/containerd.pid")
START_WITHIN_S = 60
STOP_WITHIN_S = 60
PING_WITHIN_S = 5


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PING_WITHIN_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Engine:
    """One engine, by its address as in DOCKER_HOST."""

    address: str

    @property
    def is_local(self) -> bool:
        """Whether it is the one that set-up may start."""
        return self.address == f"unix://{SOCKET}"

    def answers(self) -> bool:
        """Whether the engine answers a ping within a few seconds."""
        if not self.address.startswith("unix://"):
            argv = ["docker", "-H", self.address, "version"]
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                done = subprocess.run(argv, capture_output=True, timeout=20, check=False)
                return done.returncode == 0
            return False
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._get("/_ping")[0] == http.HTTPStatus.OK
        return False

    @property
    def is_refused(self) -> bool:
        """Whether there is an engine that this user may not talk to."""
        try:
            self._get("/_ping")
        except PermissionError:
            return True
        except (OSError, http.client.HTTPException):
            return False
        return False

    def containers(self) -> int:
        """How many containers run."""
        return len(json.loads(self._get("/containers/json")[1]))

    def has_image(self, reference: str) -> bool:
        """Whether an image of that name is there; an engine elsewhere is asked by its client."""
        if not self.address.startswith("unix://"):
            argv = ["docker", "-H", self.address, "image", "inspect", reference]
            return subprocess.run(argv, capture_output=True, check=False).returncode == 0
        return self._get(f"/images/{reference}/json")[0] == http.HTTPStatus.OK

    def _get(self, path: str) -> tuple[int, bytes]:
        with contextlib.closing(_UnixConnection(self.address.removeprefix("unix://"))) as link:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read()


def this_engine(environ: Mapping[str, str]) -> Engine:
    """The engine that Docker's own client would use without contexts."""
    return Engine(environ.get("DOCKER_HOST") or f"unix://{SOCKET}")


def start(
    engine: Engine | None = None,
    machine: Machine | None = None,
    places: Places | None = None,
    *,
    by: str = "",
) -> None:
    """Start the engine, wait until it answers and record which verb did; or find it answering."""
    engine = engine or this_engine(os.environ)
    machine = machine or this_machine(os.environ)
    places = places or find_places(os.environ)
    if engine.answers():
        return
    if not engine.is_local:
        raise PersonNeededError(
            f"No Docker engine answers at {engine.address}, which DOCKER_HOST names.",
            "Nothing was changed.",
            "unset DOCKER_HOST, or start that engine",
        )
    _need_access(engine)
    log = places.cache / "logs" / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if not _process(PID_FILE, "dockerd"):
        _launch(machine, log)
    try:
        _await_answer(engine, log)
    finally:  # ours even if this user may not talk to it yet
        _write_record(places, by)


def stop_if_ours(places: Places | None = None, *, by: str) -> bool:
    """Stop the engine if the verb `by` started it and nothing runs in it; return whether it was stopped.

    What `test` started outlives every `down` in its tests, and what `doctor --fix` started is the user's.
    """
    places = places or find_places(os.environ)
    record = _record(places)
    try:
        ours = json.loads(record.read_text())
    except (OSError, ValueError):
        return False
    pid = int(ours["pid"])
    if _start_time(pid) != ours["started"]:  # gone, or another process with that number
        record.unlink()
        return False
    if ours.get("by") != by:
        return False
    engine = Engine(f"unix://{SOCKET}")
    if engine.answers() and engine.containers() > 0:
        return False
    _stop(pid, ours["started"], this_machine(os.environ))
    record.unlink()
    return True


def _launch(machine: Machine, log: Path) -> None:
    if machine.runs_systemd:
        run([*machine.as_root, "systemctl", "start", "docker"], "start the Docker engine")
        return
    stale = [pid_file for pid_file, name in _pid_files() if not _process(pid_file, name)]
    if stale:  # after a crash the number may belong to another process, and dockerd would not start
        run([*machine.as_root, "rm", "-f", *map(str, stale)], "remove a stale pid file")
    path = os.pathsep.join([*SYSTEM_PATHS, os.environ.get("PATH", "")])
    with log.open("ab") as output:
        subprocess.Popen(
            [*machine.as_root, "dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PATH": path},
        )


def _pid_files() -> tuple[tuple[Path, str], ...]:
    files = ((PID_FILE, "dockerd"), (CONTAINERD_PID_FILE, "containerd"))
    return tuple((file, name) for file, name in files if _exists(file))


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except PermissionError:
        return False


def _await_answer(engine: Engine, log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not engine.answers():
        _need_access(engine)
        if time.monotonic() > deadline:
            last = (
                "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""
            )
            raise ToolchainError(
                f"The Docker engine did not answer within {START_WITHIN_S} s:\n{last}\n",
                f"Its log is {log}.",
                "mend what the log names, then ./ship doctor --fix",
            )
        time.sleep(0.2)


def _need_access(engine: Engine) -> None:
    if engine.is_refused:
        raise PersonNeededError(
            f"The Docker engine at {engine.address} refuses this user.",
            "The engine goes on as it is.",
            "sudo usermod -aG docker $USER, then log in anew",
        )


def _stop(pid: int, started: str, machine: Machine) -> None:
    if machine.runs_systemd:
        argv = [*machine.as_root, "systemctl", "stop", "docker.socket", "docker"]
        run(argv, "stop the Docker engine")
        return
    if machine.is_root:
        os.kill(pid, signal.SIGTERM)
    else:
        run([*machine.as_root, "kill", str(pid)], "stop the Docker engine")
    deadline = time.monotonic() + STOP_WITHIN_S
    while _start_time(pid) == started:
        if time.monotonic() > deadline:
            raise ToolchainError(
                f"The Docker engine (process {pid}) did not end within {STOP_WITHIN_S} s.",
                "It goes on running.",
                f"sudo kill {pid}",
            )
        time.sleep(0.1)


def _record(places: Places) -> Path:
    return places.state / "engine.json"


def _write_record(places: Places, by: str) -> None:
    pid = _process(PID_FILE, "dockerd")
    if pid:
        places.state.mkdir(parents=True, exist_ok=True)
        ours = {"pid": pid, "started": _start_time(pid), "by": by}
        _record(places).write_text(json.dumps(ours) + "\n")


def _process(pid_file: Path, name: str) -> int | None:
    """The process that a pid file names, if it is really a process of that name."""
    try:
        pid = int(pid_file.read_text())
        return pid if Path(f"/proc/{pid}/comm").read_text().strip() == name else None
    except (OSError, ValueError):
        return None


def _start_time(pid: int) -> str | None:
    """When the kernel started the process (field 22 of proc(5) stat), None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
