"""Prometheus and its company, as programs for tests: promtool judges rules, a live Prometheus judges dashboards.

They are Debian's packages unpacked aside, of the suite that the hosts' images are made of, so that tests ask the
version that runs; it never starts one.
"""

from __future__ import annotations

from pathlib import Path

from toolchain.debian import unpack
from toolchain.errors import ToolchainError
from toolchain.pieces import Piece

RECIPE = "1"
SUITE = "forky"
PACKAGES = ("prometheus", "promtool", "prometheus-alertmanager", "prometheus-pushgateway")
PROGRAMS = {
    "prometheus": "prometheus",
    "promtool": "promtool",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "amtool",
    "pushgateway": "prometheus-pushgateway",
}
"""The programs by the fixed names that tests use, and as Debian calls them."""


def monitoring_piece(address: str) -> Piece:
    """The folder that holds them; `address` is the Debian mirror."""

    def make(aside: Path, home: Path) -> None:
        unpack(SUITE, PACKAGES, address, aside / ".apt", aside)
        if lacking := [
            name for name in PROGRAMS.values() if not (aside / "usr/bin" / name).exists()
        ]:
            raise ToolchainError(
                f"Debian {SUITE}'s packages no longer hold {', '.join(lacking)}.",
                "Nothing was changed.",
                "change PACKAGES in libs/toolchain/monitoring.py",
            )

    return Piece(
        group="tools",
        name="monitoring",
        title=f"Prometheus, promtool, Alertmanager, Pushgateway (Debian {SUITE}'s, unpacked aside)",
        inputs=(RECIPE, SUITE, *PACKAGES),
        download_mb=80,
        seconds=12,
        make=make,
    )
