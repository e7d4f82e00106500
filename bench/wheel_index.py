"""Downloads the wheels that the plain Dockerfile installs and serves them from this machine."""

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


def constraints_of(lock: str) -> str:
    """Returns the pins of a hash-pinned lock as constraints: lines `name==version` without hashes."""
    pins = re.findall(r"(?m)^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock)
    return "".join(f"{name}=={version}\n" for name, version in pins)


def fetch_wheels(requirements: str, constraints: str, folder: Path, uv: Path) -> str:
    """Downloads the wheels of `requirements` and of pip into a folder. Returns the file name of pip's wheel.

    uv installs a pip for that, because our Python has none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pip = folder.parent / "pip"
    subprocess.run([str(uv), "pip", "install", "-q", "--target", str(pip), "pip"], check=True)
    (folder.parent / "requirements.txt").write_text(requirements + "pip\n")
    (folder.parent / "constraints.txt").write_text(constraints)
    options = ["-r", "requirements.txt", "-c", "constraints.txt", "-d", str(folder)]
    subprocess.run(
        [sys.executable, str(pip / "pip"), "download", "-q", "--only-binary", ":all:", *options],
        cwd=folder.parent,
        check=True,
        stderr=subprocess.DEVNULL,  # warnings about the indexes of this machine
    )
    return next(folder.glob("pip-*.whl")).name


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        del format, args


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder over HTTP on this machine and yields its address."""
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
