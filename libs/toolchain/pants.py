"""Starts Pants 2.17.1 with the settings that differ between users, which pants.toml can't hold."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from toolchain.machine import is_ci
from toolchain.process import ca_bundle, tool_environment
from toolchain.tools.toolset import Toolset


def pants_variables(toolset: Toolset, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables of a Pants process, whether `./pants` or an installed `pants` starts it."""
    current = toolset.current
    pythons = [str(current["python3.13"]), str(current["python3.9"])]
    variables = {
        "NO_SCIE_WARNING": "1",  # Pants expects the launcher that ./pants replaces
        # Debian's client has no buildx; both builders produce the same layers.
        "DOCKER_BUILDKIT": "0",
        "PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH": repr(pythons),
        "PANTS_PEX_CLI_URL_TEMPLATE": f"file://{current['pex']}",
    }
    if is_ci(environ):
        variables["PANTS_CONFIG_FILES"] = str(toolset.paths.checkout / "pants.ci.toml")
    variables |= remote_cache(environ)
    bundle = ca_bundle(environ)
    if bundle:
        variables["PANTS_CA_CERTS_PATH"] = bundle
    return variables


def remote_cache(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables for SHIP_REMOTE_CACHE, the grpc://HOST:PORT of a shared cache.

    Merge requests only read it, because every later pipeline trusts what it contains.
    """
    address = environ.get("SHIP_REMOTE_CACHE")
    if not address:
        return {}
    writes = environ.get("CI_PIPELINE_SOURCE") != "merge_request_event"
    return {
        "PANTS_REMOTE_STORE_ADDRESS": address,
        "PANTS_REMOTE_CACHE_READ": "true",
        "PANTS_REMOTE_CACHE_WRITE": str(writes).lower(),
    }


def pants_command(toolset: Toolset, args: Sequence[str]) -> list[str]:
    """Returns the argv that starts Pants."""
    return [str(toolset.venv_python(toolset.pants)), "-m", "pants", *args]


def pants_environment(toolset: Toolset, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of Pants. Variables that the caller set win over ours."""
    return {**pants_variables(toolset, environ), **tool_environment(environ)}


def exec_pants(toolset: Toolset, args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Replaces this process by Pants."""
    argv = pants_command(toolset, args)
    os.execve(argv[0], argv, pants_environment(toolset, environ))
