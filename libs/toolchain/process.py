"""Runs a program and turns its failure into a ToolchainError with the program's last lines."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.errors import ToolchainError

CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
PYTHON_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP")
LAST_LINES = 12


def run(
    argv: Sequence[str], what: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Runs a program to its end and returns its stdout.

    Raises ToolchainError if it can't be started or exits with another code than 0; `what` completes "Could not ...".
    """
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=dict(env if env is not None else tool_environment(os.environ)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ToolchainError(
            f"Could not {what}: {error}.", "Finished steps are kept.", "./ship doctor"
        ) from error
    if done.returncode != 0:
        output = "\n".join((done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:])
        raise ToolchainError(
            f"Could not {what} ({Path(argv[0]).name} exited with {done.returncode}):\n{output}\n",
            "Finished steps are kept.",
            "run the same command again; ./ship doctor lists what is missing",
        )
    return done.stdout


def tool_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the caller's environment with the CA bundle, without variables that change what Python imports."""
    env = {name: value for name, value in environ.items() if name not in PYTHON_VARIABLES}
    bundle = ca_bundle(environ)
    if bundle:
        env.setdefault("SSL_CERT_FILE", bundle)
    return env


def ca_bundle(environ: Mapping[str, str]) -> str | None:
    """Returns the file of trusted certificate authorities: SSL_CERT_FILE if it exists, else the system's."""
    candidates = (environ.get("SSL_CERT_FILE", ""), *CA_BUNDLES)
    return next((path for path in candidates if path and os.path.isfile(path)), None)
