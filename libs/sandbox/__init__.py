"""A whole environment on this machine: hosts, a registry, ECR's control plane and what watches it.

What it writes is an environment file as production has one; nothing that deploys ever asks what made it.
"""

from sandbox.collector import Watch
from sandbox.lifecycle import create, destroy, host_count, path
from sandbox.state import names

__all__ = ["Watch", "create", "destroy", "host_count", "names", "path"]
