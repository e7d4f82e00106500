"""A whole environment on this machine: hosts, a registry, ECR's control plane and Prometheus.

What it writes is an environment file as production has one; nothing that deploys ever asks what made it.
"""

from sandbox.lifecycle import create, destroy, host_count, path
from sandbox.state import names

__all__ = ["create", "destroy", "host_count", "names", "path"]
