"""Installs Debian packages on this machine with apt, from the sources that apt already has."""

from __future__ import annotations

import os
from collections.abc import Sequence

from toolchain.machine import LocalMachine
from toolchain.prerequisites import Package
from toolchain.process import run, tool_environment


def install(machine: LocalMachine, packages: Sequence[Package], *, refresh: bool) -> None:
    """Installs the packages without their recommendations; with `refresh`, updates the package lists first."""
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    env = {**tool_environment(os.environ), "DEBIAN_FRONTEND": "noninteractive"}
    names = [package.name for package in packages]
    apt_as_root = [*machine.as_root, "env", "DEBIAN_FRONTEND=noninteractive", *apt]
    if refresh:
        run([*apt_as_root, "update"], "update the package lists", env=env)
    run(
        [*apt_as_root, "install", "-y", "--no-install-recommends", *names],
        f"install {', '.join(names)} with apt",
        env=env,
    )
