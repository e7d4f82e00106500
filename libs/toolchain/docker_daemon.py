"""The Docker daemon of this machine: pings it, starts it if it doesn't run, and stops it if set-up started it.

A daemon started here runs in its own session, so that Ctrl-C in the terminal doesn't reach it.
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
from toolchain.machine import SYSTEM_PATHS, LocalMachine, local_machine
from toolchain.paths import Paths, find_paths
from toolchain.process import run

SOCKET = "/var/run/docker.sock"
PID_FILE = Path("/var/run/docker.pid")
CONTAINERD_PID_FILE = Path("/var/run/docker/containerd/containerd.pid")
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
PING_TIMEOUT_S = 5
CLIENT_TIMEOUT_S = 20


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PING_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class DockerDaemon:
    """A Docker daemon at an address, written as in DOCKER_HOST."""

    address: str

    @property
    def is_local(self) -> bool:
        """Whether it is at the default socket, where set-up may start it."""
        return self.address == f"unix://{SOCKET}"

    def answers(self) -> bool:
        """Returns whether the daemon answers a ping within a few seconds."""
        if not self.address.startswith("unix://"):
            argv = ["docker", "-H", self.address, "version"]
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                done = subprocess.run(
                    argv, capture_output=True, timeout=CLIENT_TIMEOUT_S, check=False
                )
                return done.returncode == 0
            return False
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._get("/_ping")[0] == http.HTTPStatus.OK
        return False

    @property
    def refuses_user(self) -> bool:
        """Whether the daemon's socket exists but this user may not open it."""
        try:
            self._get("/_ping")
        except PermissionError:
            return True
        except (OSError, http.client.HTTPException):
            return False
        return False

    def running_containers(self) -> int:
        """Returns how many containers run."""
        return len(json.loads(self._get("/containers/json")[1]))

    def version(self) -> str:
        """Returns the daemon's version, "unknown" if it doesn't tell."""
        if not self.address.startswith("unix://"):
            argv = ["docker", "-H", self.address, "version", "--format", "{{.Server.Version}}"]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            return done.stdout.strip() or "unknown"
        try:
            return str(json.loads(self._get("/version")[1])["Version"])
        except (OSError, ValueError, KeyError):
            return "unknown"

    def has_image(self, reference: str) -> bool:
        """Returns whether the daemon has an image of that name. Uses Docker's client unless the address is a socket."""
        if not self.address.startswith("unix://"):
            argv = ["docker", "-H", self.address, "image", "inspect", reference]
            return subprocess.run(argv, capture_output=True, check=False).returncode == 0
        return self._get(f"/images/{reference}/json")[0] == http.HTTPStatus.OK

    def _get(self, path: str) -> tuple[int, bytes]:
        with contextlib.closing(
            _UnixConnection(self.address.removeprefix("unix://"))
        ) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()


def configured_daemon(environ: Mapping[str, str]) -> DockerDaemon:
    """Returns the daemon that Docker's client uses: DOCKER_HOST, else the default socket."""
    return DockerDaemon(environ.get("DOCKER_HOST") or f"unix://{SOCKET}")


def start_daemon(daemon: DockerDaemon, machine: LocalMachine, paths: Paths, *, verb: str) -> None:
    """Starts the daemon unless it answers, waits until it does and records the verb that started it.

    Raises PersonNeededError if DOCKER_HOST names another daemon or this user may not use the socket, ToolchainError if
    the daemon doesn't answer in time.
    """
    if daemon.answers():
        return
    if not daemon.is_local:
        raise PersonNeededError(
            f"No Docker engine answers at {daemon.address}, the value of DOCKER_HOST.",
            "Nothing was changed.",
            "unset DOCKER_HOST, or start that engine",
        )
    _require_access(daemon)
    log = paths.cache / "logs" / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if not _process(PID_FILE, "dockerd"):
        _launch(machine, log)
    try:
        _await_answer(daemon, log)
    finally:  # we started it, even if this user may not use it yet
        _write_record(paths, verb)


def stop_daemon_started_by(verb: str, paths: Paths | None = None) -> bool:
    """Stops the daemon if this verb started it and no container runs. Returns whether it was stopped.

    So the `ship down` calls of tests don't stop the daemon that `ship test` started, and the one that
    `ship doctor --fix` started stays for the user.
    """
    paths = paths or find_paths(os.environ)
    record = _record(paths)
    try:
        recorded = json.loads(record.read_text())
    except (OSError, ValueError):
        return False
    pid = int(recorded["pid"])
    if _start_time(pid) != recorded["started"]:  # it ended, or the pid belongs to another process
        record.unlink()
        return False
    if recorded.get("by") != verb:
        return False
    daemon = DockerDaemon(f"unix://{SOCKET}")
    if daemon.answers() and daemon.running_containers() > 0:
        return False
    _stop(pid, recorded["started"], local_machine(os.environ))
    record.unlink()
    return True


def _launch(machine: LocalMachine, log: Path) -> None:
    if machine.runs_systemd:
        run([*machine.as_root, "systemctl", "start", "docker"], "start the Docker engine")
        return
    stale = [pid_file for pid_file, name in _pid_files() if not _process(pid_file, name)]
    if stale:  # after a crash the pid may belong to another process: then dockerd refuses to start
        run(
            [*machine.as_root, "rm", "-f", *map(str, stale)],
            "remove a stale pid file of the Docker daemon",
        )
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


def _await_answer(daemon: DockerDaemon, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not daemon.answers():
        _require_access(daemon)
        if time.monotonic() > deadline:
            last = (
                "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""
            )
            raise ToolchainError(
                f"The Docker engine did not answer within {START_TIMEOUT_S} s:\n{last}\n",
                f"Its log is {log}.",
                "fix what the log reports, then ./ship doctor --fix",
            )
        time.sleep(0.2)


def _require_access(daemon: DockerDaemon) -> None:
    if daemon.refuses_user:
        raise PersonNeededError(
            f"The Docker engine at {daemon.address} refuses this user.",
            "It was not changed.",
            "sudo usermod -aG docker $USER, then log in again",
        )


def _stop(pid: int, started: str, machine: LocalMachine) -> None:
    if machine.runs_systemd:
        argv = [*machine.as_root, "systemctl", "stop", "docker.socket", "docker"]
        run(argv, "stop the Docker engine")
        return
    if machine.is_root:
        os.kill(pid, signal.SIGTERM)
    else:
        run([*machine.as_root, "kill", str(pid)], "stop the Docker engine")
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _start_time(pid) == started:
        if time.monotonic() > deadline:
            raise ToolchainError(
                f"The Docker engine (process {pid}) did not stop within {STOP_TIMEOUT_S} s.",
                "It still runs.",
                f"sudo kill {pid}",
            )
        time.sleep(0.1)


def _record(paths: Paths) -> Path:
    return paths.state / "engine.json"


def _write_record(paths: Paths, verb: str) -> None:
    pid = _process(PID_FILE, "dockerd")
    if pid:
        paths.state.mkdir(parents=True, exist_ok=True)
        record = {"pid": pid, "started": _start_time(pid), "by": verb}
        _record(paths).write_text(json.dumps(record) + "\n")


def _process(pid_file: Path, name: str) -> int | None:
    """Returns the pid in a pid file, None if no process of that name has it."""
    try:
        pid = int(pid_file.read_text())
        return pid if Path(f"/proc/{pid}/comm").read_text().strip() == name else None
    except (OSError, ValueError):
        return None


def _start_time(pid: int) -> str | None:
    """Returns when the kernel started a process (field 22 of stat in proc(5)), None if the process ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
