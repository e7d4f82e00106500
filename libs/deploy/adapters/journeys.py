"""Runs the browser journeys of a service with pytest, in this program's Python."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Journeys:
    """The journeys in `file` of a checkout.

    Screenshots, traces and the JUnit report are written to `keep`. The outcome is pushed to `pushgateway` ("": none)
    under the name of the environment.
    """

    root: Path
    file: str
    keep: Path
    pushgateway: str = ""
    environment: str = ""

    def run(self, url: str, *, release: str = "", replicas: int = 0) -> bool:
        """Returns whether all journeys pass at a URL. Answers must come from `release` ("": any)."""
        argv = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
        argv += [f"--junit-xml={self.keep / 'journeys.xml'}", self.file]
        paths = (self.root, self.root / "libs", self.root / "services")
        variables = {
            "SHIP_E2E_URL": url,
            "SHIP_E2E_RELEASE": release,
            "SHIP_E2E_REPLICAS": str(replicas or ""),
            "SHIP_E2E_KEEP": str(self.keep),
            "SHIP_E2E_PUSHGATEWAY": self.pushgateway,
            "SHIP_E2E_ENVIRONMENT": self.environment,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
        }
        environ = {**os.environ, **variables}
        # pytest prints to stderr, because stdout is for the JSON of the verb.
        done = subprocess.run(argv, cwd=self.root, env=environ, stdout=sys.stderr, check=False)
        return done.returncode == 0
