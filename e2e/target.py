"""The environment that the journeys run against, read from environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SYNTHETIC = {"X-Synthetic": "journeys"}
"""The header that tells the edge that a request is no user's (deploy/nginx/nginx.conf)."""


@dataclass(frozen=True)
class Target:
    """Where the app answers, the release that must answer (None: any), and the number of its replicas."""

    url: str
    release: str | None = None
    replicas: int = 5


def read_target(environ: Mapping[str, str] = os.environ) -> Target | None:
    """Reads SHIP_E2E_URL, SHIP_E2E_RELEASE and SHIP_E2E_REPLICAS. Returns None if no URL is set."""
    url = environ.get("SHIP_E2E_URL", "")
    if not url:
        return None
    replicas = int(environ.get("SHIP_E2E_REPLICAS") or Target.replicas)
    return Target(url.rstrip("/"), environ.get("SHIP_E2E_RELEASE") or None, replicas)


def output_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Returns the folder for screenshots, traces and raw data: SHIP_E2E_KEEP, else dist/e2e of the checkout.

    SHIP_ROOT names the checkout, since Pants runs tests in a copy that it deletes.
    """
    folder = environ.get("SHIP_E2E_KEEP")
    return Path(folder or Path(environ.get("SHIP_ROOT", "."), "dist", "e2e")).absolute()
