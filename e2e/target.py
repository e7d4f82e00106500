"""The environment that journeys run against, as its variables tell; it never makes or changes one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """Where the app answers, the release that must answer ("" is any one), and by how many replicas."""

    url: str
    release: str = ""
    replicas: int = 5


def read_target(environ: Mapping[str, str] = os.environ) -> Target | None:
    """Reads SHIP_E2E_URL, SHIP_E2E_RELEASE and SHIP_E2E_REPLICAS; None where no address is given."""
    url = environ.get("SHIP_E2E_URL", "")
    if not url:
        return None
    replicas = int(environ.get("SHIP_E2E_REPLICAS") or Target.replicas)
    return Target(url.rstrip("/"), environ.get("SHIP_E2E_RELEASE", ""), replicas)


def output_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where screenshots of journeys and traces of failed ones are kept: SHIP_E2E_KEEP, else dist/e2e of the checkout.

    SHIP_ROOT names the checkout, since Pants runs tests in a copy that is thrown away.
    """
    told = environ.get("SHIP_E2E_KEEP")
    return Path(told or Path(environ.get("SHIP_ROOT", "."), "dist", "e2e")).absolute()
