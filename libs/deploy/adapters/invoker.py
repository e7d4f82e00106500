"""Who runs this command: a person or a pipeline."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping


def who(environ: Mapping[str, str] = os.environ) -> str:
    """Returns the pipeline's user or the login on this machine, for the ledger."""
    if login := environ.get("GITLAB_USER_LOGIN"):
        return login
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return f"uid {os.getuid()}@{socket.gethostname()}"


def pipeline(environ: Mapping[str, str] = os.environ) -> str:
    """Returns the URL of the pipeline that runs this, "" if none does."""
    return environ.get("CI_PIPELINE_URL") or environ.get("CI_JOB_URL") or ""
