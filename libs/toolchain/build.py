"""Starts Pants 2.17.1 with what pants.toml can't say because it differs between users."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from toolchain.machine import is_ci
from toolchain.process import ca_bundle, tool_environment
from toolchain.tools.all import Chain


def pants_variables(chain: Chain, environ: Mapping[str, str]) -> dict[str, str]:
    """What a Pants process needs in its environment, also one that `.pants.bootstrap` starts."""
    current = chain.current
    pythons = [str(current["python3.13"]), str(current["python3.9"])]
    variables = {
        "NO_SCIE_WARNING": "1",  # our launcher stands for the one that Pants asks for
        # Debian's client has no buildx; the images' layers are the same with either builder.
        "DOCKER_BUILDKIT": "0",
        "PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH": repr(pythons),
        "PANTS_PEX_CLI_URL_TEMPLATE": f"file://{current['pex']}",
    }
    if is_ci(environ):
        variables["PANTS_CONFIG_FILES"] = str(chain.places.checkout / "pants.ci.toml")
    variables |= remote_cache(environ)
    bundle = ca_bundle(environ)
    if bundle:
        variables["PANTS_CA_CERTS_PATH"] = bundle
    return variables


def remote_cache(environ: Mapping[str, str]) -> dict[str, str]:
    """What SHIP_REMOTE_CACHE, a shared cache's grpc://HOST:PORT, sets; a merge request only reads.

    What a merge request writes, every later pipeline would trust.
    """
    address = environ.get("SHIP_REMOTE_CACHE", "")
    if not address:
        return {}
    writes = environ.get("CI_PIPELINE_SOURCE") != "merge_request_event"
    return {
        "PANTS_REMOTE_STORE_ADDRESS": address,
        "PANTS_REMOTE_CACHE_READ": "true",
        "PANTS_REMOTE_CACHE_WRITE": str(writes).lower(),
    }


def pants_command(chain: Chain, args: Sequence[str]) -> list[str]:
    """The argument list that starts Pants."""
    return [str(chain.venv_python(chain.pants)), "-m", "pants", *args]


def pants_environment(chain: Chain, environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with ours on top; the caller's own PANTS_* choices stay."""
    return {**pants_variables(chain, environ), **tool_environment(environ)}


def start_pants(chain: Chain, args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Become Pants."""
    argv = pants_command(chain, args)
    os.execve(argv[0], argv, pants_environment(chain, environ))
