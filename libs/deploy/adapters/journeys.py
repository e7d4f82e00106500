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

    Screenshots, traces and the JUnit report are written to `keep`. If `pushgateway` is given, the outcome
    is pushed to it under the name of the environment; `monitored` tells the alerts to expect further runs.
    """

    root: Path
    file: str
    keep: Path
    pushgateway: str | None = None
    environment: str = ""
    monitored: bool = False

    def run(self, url: str, *, release: str | None = None, replicas: int | None = None) -> bool:
        """Returns whether all journeys pass at a URL, with answers of `release` from `replicas` replicas if given."""
        argv = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
        argv += [f"--junit-xml={self.keep / 'journeys.xml'}", self.file]
        paths = (self.root, self.root / "libs", self.root / "services")
        variables = {
            "SHIP_E2E_URL": url,
            "SHIP_E2E_RELEASE": release or "",
            "SHIP_E2E_REPLICAS": str(replicas or ""),
            "SHIP_E2E_KEEP": str(self.keep),
            "SHIP_E2E_PUSHGATEWAY": self.pushgateway or "",
            "SHIP_E2E_ENVIRONMENT": self.environment,
            "SHIP_E2E_MONITORED": "1" if self.monitored else "",
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
        }
        environ = {**os.environ, **variables}
        # pytest prints to stderr, because stdout is for the JSON of the verb.
        done = subprocess.run(argv, cwd=self.root, env=environ, stdout=sys.stderr, check=False)
        return done.returncode == 0
