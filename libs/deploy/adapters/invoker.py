"""Tells who runs this command: a person or a pipeline."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping


def who(environ: Mapping[str, str] = os.environ) -> str:
    """Returns who acts, for the record: the pipeline's user, else the login on this machine."""
    if login := environ.get("GITLAB_USER_LOGIN"):
        return login
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return f"uid {os.getuid()}@{socket.gethostname()}"


def pipeline(environ: Mapping[str, str] = os.environ) -> str:
    """Returns the address of the pipeline that runs this, empty outside of one."""
    return environ.get("CI_PIPELINE_URL") or environ.get("CI_JOB_URL") or ""
