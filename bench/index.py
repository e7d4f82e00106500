"""Serves the wheels that the plain Dockerfile installs, from this machine; it downloads each only once."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def pins(lock: str) -> str:
    """Returns a hash-pinned lock as constraints, `name==version` a line, without the hashes."""
    found = re.findall(r"(?m)^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock)
    return "".join(f"{name}=={version}\n" for name, version in found)


def fetch_wheels(requirements: str, constraints: str, folder: Path, uv: Path) -> str:
    """Downloads the wheels of `requirements` and pip's own into a folder; returns the name of pip's.

    Our Python has no pip and needs none: uv brings one for this.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tool = folder.parent / "pip"
    subprocess.run([str(uv), "pip", "install", "-q", "--target", str(tool), "pip"], check=True)
    (folder.parent / "requirements.txt").write_text(requirements + "pip\n")
    (folder.parent / "constraints.txt").write_text(constraints)
    asked = ["-r", "requirements.txt", "-c", "constraints.txt", "-d", str(folder)]
    subprocess.run(
        [sys.executable, str(tool / "pip"), "download", "-q", "--only-binary", ":all:", *asked],
        cwd=folder.parent,
        check=True,
        stderr=subprocess.DEVNULL,  # warns about indexes that this machine is configured for
    )
    return next(folder.glob("pip-*.whl")).name


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
        del format, args


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yields the address at which a folder can be read from this machine."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
