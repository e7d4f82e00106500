"""Runs a service's browser journeys with this program's own Python; never decides what their failure means."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Journeys:
    """The journeys in `file` of a checkout; screenshots, traces and the JUnit report go to `keep`,
    and the outcome to `pushgateway` ("" is none) under the name of the environment."""

    root: Path
    file: str
    keep: Path
    pushgateway: str = ""
    environment: str = ""

    def run(self, url: str, *, release: str = "", replicas: int = 0) -> bool:
        """Runs them against a URL; returns whether all passed. `release` is who must answer, "" anybody."""
        argv = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
        argv += [f"--junit-xml={self.keep / 'journeys.xml'}", self.file]
        paths = (self.root, self.root / "libs", self.root / "services")
        told = {
            "SHIP_E2E_URL": url,
            "SHIP_E2E_RELEASE": release,
            "SHIP_E2E_REPLICAS": str(replicas or ""),
            "SHIP_E2E_KEEP": str(self.keep),
            "SHIP_E2E_PUSHGATEWAY": self.pushgateway,
            "SHIP_E2E_ENVIRONMENT": self.environment,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
        }
        environ = {**os.environ, **told}
        # What it says goes to stderr: stdout is the verb's document.
        done = subprocess.run(argv, cwd=self.root, env=environ, stdout=sys.stderr, check=False)
        return done.returncode == 0
