"""Installs the programs that tests run: Prometheus, Alertmanager, Pushgateway, their tools and Compose.

They are unpacked from the Debian suite of the hosts' base images, so tests use the versions that run in production.
"""

from __future__ import annotations

from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.tools.debian import unpack
from toolchain.tools.tool import Tool

RECIPE = "1"
SUITE = "forky"
PACKAGES = (
    "prometheus",
    "promtool",
    "prometheus-alertmanager",
    "prometheus-pushgateway",
    "docker-compose",
)
PROGRAMS = {
    "prometheus": "usr/bin/prometheus",
    "promtool": "usr/bin/promtool",
    "alertmanager": "usr/bin/prometheus-alertmanager",
    "amtool": "usr/bin/amtool",
    "pushgateway": "usr/bin/prometheus-pushgateway",
    # A plugin of Docker's client that also runs without it. `config` needs no Docker daemon.
    "docker-compose": "usr/libexec/docker/cli-plugins/docker-compose",
}
"""The paths of the programs in Debian's packages, by the names under which tests find them."""


def test_programs_tool(mirror: str) -> Tool:
    """Returns the tool with all programs; `mirror` is the Debian mirror's address."""

    def build(staging: Path, folder: Path) -> None:
        unpack(SUITE, PACKAGES, mirror, staging / ".apt", staging)
        if missing := [path for path in PROGRAMS.values() if not (staging / path).exists()]:
            raise ToolchainError(
                f"Debian {SUITE}'s packages no longer contain {', '.join(missing)}.",
                "Nothing was changed.",
                "change PACKAGES in libs/toolchain/tools/test_programs.py",
            )

    return Tool(
        group="tools",
        name="test-programs",
        title=f"Prometheus and its tools, Compose (from Debian {SUITE})",
        inputs=(RECIPE, SUITE, *PACKAGES),
        download_mb=94,
        seconds=12,
        build=build,
    )
