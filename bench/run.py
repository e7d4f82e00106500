"""Compares this project with plain Docker Compose on one sandbox. `python3 -m bench` starts it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import docker

from bench.measurements import Measurements
from bench.plain_way import PlainWay
from bench.project_way import ProjectWay
from bench.registry import RegistryAccount
from bench.results import Run, render
from bench.telemetry import measure as measure_telemetry
from e2e.live_sandbox import LiveSandbox, checkout, state_folder, terminated_as_interrupt

RESULT = "dist/bench.json"


def main() -> int:
    """Prints the table on stdout and progress on stderr, and writes `RESULT`. Returns 1 if a measurement failed."""
    begun, machine = datetime.now(UTC), _machine()
    with ExitStack() as leaving, terminated_as_interrupt():
        work = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        sandbox = LiveSandbox.named("bench", work / "notes")
        leaving.callback(lambda: sandbox.ship("down"))
        engine = docker.from_env(version="auto", timeout=600)
        project, plain = Measurements("this project"), Measurements("plain Compose")
        project.take("telemetry", lambda: {"telemetry_us": measure_telemetry()[1].added_us})
        project.take("ship up", lambda: {"up_s": _warm_up(sandbox)})
        account = _account(sandbox)
        ours = ProjectWay(sandbox, account, engine, work)
        with ours.using_clone():
            ours.measure(project)
        PlainWay(sandbox, account, engine, work).measure(plain)
        run = Run(
            revision=_revision(),
            date=begun.date().isoformat(),
            machine=machine
            | {"minutes": f"{(datetime.now(UTC) - begun).total_seconds() / 60:.1f}"},
            project=project.values,
            plain=plain.values,
            failed=project.failed | plain.failed,
            deploy=ours.bars,
        )
    print(render(run))
    file = checkout() / RESULT
    file.parent.mkdir(exist_ok=True)
    file.write_text(run.dump())
    print(f"bench: wrote {RESULT}", file=sys.stderr)
    return 1 if run.failed else 0


def _warm_up(sandbox: LiveSandbox) -> float:
    """Starts a sandbox twice. Returns the seconds of the second time, which finds every cache warm."""
    sandbox.ship("up", "--yes", "--no-e2e").expect_success()
    sandbox.ship("down").expect_success()
    begun = time.monotonic()
    sandbox.ship("up", "--yes", "--no-e2e").expect_success()
    return time.monotonic() - begun


def _account(sandbox: LiveSandbox) -> RegistryAccount:
    registry = sandbox.environment()["registry"]
    return RegistryAccount(
        registry["push_via"],
        "AWS",
        f"{registry['account']}-auth-token",  # the fixed token of moto, the sandbox's ECR
        str(state_folder(sandbox.name) / "ca.crt"),
    )


def _machine() -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "kernel": platform.release(),
        "Docker": str(docker.from_env(version="auto").version()["Version"]),
    }


def _revision() -> str:
    command = ["git", "-C", str(checkout()), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
