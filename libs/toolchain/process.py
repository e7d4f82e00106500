"""Runs the programs that set-up needs and turns their failure into one clear error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.errors import ToolchainError

CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
LAST_LINES = 12


def run(
    argv: Sequence[str], what: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run to the end and return stdout; `what` completes the sentence "could not ..."."""
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
            f"Could not {what}: {error}.", "What was complete before stays.", "./ship doctor"
        ) from error
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:])
        raise ToolchainError(
            f"Could not {what} ({Path(argv[0]).name} ended with {done.returncode}):\n{said}\n",
            "What was complete before stays and is used again.",
            "the same command again; ./ship doctor tells what is missing",
        )
    return done.stdout


def tool_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment less what would lead a Python astray, plus the CA bundle."""
    astray = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP")
    env = {name: value for name, value in environ.items() if name not in astray}
    bundle = ca_bundle(environ)
    if bundle:
        env.setdefault("SSL_CERT_FILE", bundle)
    return env


def ca_bundle(environ: Mapping[str, str]) -> str | None:
    """The certificate authorities this machine trusts: the caller's choice, else the system's."""
    candidates = (environ.get("SSL_CERT_FILE", ""), *CA_BUNDLES)
    return next((path for path in candidates if path and os.path.isfile(path)), None)
