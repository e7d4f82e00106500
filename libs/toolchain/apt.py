"""Installs Debian packages into the machine with its own apt; it never adds a source."""

from __future__ import annotations

import os
from collections.abc import Sequence

from toolchain.machine import Machine
from toolchain.prerequisites import Package
from toolchain.process import run, tool_environment


def install(machine: Machine, packages: Sequence[Package]) -> None:
    """Refresh the lists, install the packages and nothing that is only recommended."""
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    env = {**tool_environment(os.environ), "DEBIAN_FRONTEND": "noninteractive"}
    names = [package.name for package in packages]
    before = [*machine.as_root, "env", "DEBIAN_FRONTEND=noninteractive", *apt]
    run([*before, "update"], "read the lists of Debian packages", env=env)
    run(
        [*before, "install", "-y", "--no-install-recommends", *names],
        f"install {', '.join(names)} with apt",
        env=env,
    )
