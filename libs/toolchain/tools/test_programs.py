"""Programs that check what ships: promtool its rules, a live Prometheus its dashboards, Compose its compose files.

They are Debian's packages unpacked aside, of the suite that the hosts' images are made of, so that tests ask the
version that runs; it never starts one.
"""

from __future__ import annotations

from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.tools.debian import unpack
from toolchain.tools.tool import Piece

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
    # A plugin of the docker program, which runs by itself and needs no engine for `config`.
    "docker-compose": "usr/libexec/docker/cli-plugins/docker-compose",
}
"""The programs by the fixed names that tests use, and where Debian's packages have them."""


def checkers_piece(address: str) -> Piece:
    """The folder that holds them; `address` is the Debian mirror."""

    def make(aside: Path, home: Path) -> None:
        unpack(SUITE, PACKAGES, address, aside / ".apt", aside)
        if lacking := [path for path in PROGRAMS.values() if not (aside / path).exists()]:
            raise ToolchainError(
                f"Debian {SUITE}'s packages no longer hold {', '.join(lacking)}.",
                "Nothing was changed.",
                "change PACKAGES in libs/toolchain/tools/test_programs.py",
            )

    return Piece(
        group="tools",
        name="checkers",
        title=f"Prometheus and its tools, Compose (Debian {SUITE}'s, unpacked aside)",
        inputs=(RECIPE, SUITE, *PACKAGES),
        download_mb=94,
        seconds=12,
        make=make,
    )
