"""The generated references of configuration files, by their paths in the checkout."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deploy.adapters.config import reference
from deploy.adapters.config.schema import EnvironmentForm, ServiceForm
from deploy.cli.wiring.settings import ROOT

FILES: Mapping[str, Callable[[], str]] = {
    "docs/service-toml.md": reference.service_page,
    "docs/environment-files.md": reference.environment_page,
    "docs/schemas/service.schema.json": lambda: reference.json_schema(ServiceForm, "service.toml"),
    "docs/schemas/environment.schema.json": lambda: reference.json_schema(
        EnvironmentForm, "environment file"
    ),
}


def write() -> None:
    """Writes the files into the checkout."""
    for path, render in FILES.items():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_text(render(), encoding="utf-8")
