"""The command line starts quickly: what talks to hosts, clouds and engines is imported by the verbs that need it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "boto3",
    "botocore",
    "paramiko",
    "docker",
    "requests",
    "pydantic",
    "cryptography",
    "bcrypt",
}
LOADED = """\
import sys
from deploy.cli.main import parser
parser().format_help()
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_help_imports_no_library_of_a_host_a_cloud_or_an_engine() -> None:
    argv = [sys.executable, "-c", LOADED]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "deploy" in loaded
    assert not HEAVY & loaded
