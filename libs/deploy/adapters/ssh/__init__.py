"""Hosts over SSH, with paramiko."""

import sys
from typing import Any

# paramiko can do without invoke, which takes half of its import time: only `Match exec` of ssh_config needs it, and no
# ssh_config is read here. None makes the import fail.
_modules: dict[str, Any] = sys.modules
_modules.setdefault("invoke", None)
