"""Grafana's compose file is valid and matches the provisioning files. Grafana itself is not started."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from observability.promtool import program

HERE = Path(__file__).parent
GRAFANA = HERE / "grafana"


def grafana_service(**environ: str) -> dict[str, Any]:
    """Returns the service as Compose interprets it."""
    argv = [program("docker-compose"), "-f", str(GRAFANA / "compose.yml"), "config"]
    done = subprocess.run(
        [*argv, "--format=json"], env=environ, capture_output=True, text=True, check=False
    )
    # Compose only warns about some mistakes, such as an unset variable.
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout)["services"]["grafana"]
    return document


def provisioned(name: str, key: str) -> str:
    """Returns the value of a key that occurs once in a provisioning file."""
    (value,) = re.findall(
        rf"^ *{key}: (.+)$", (GRAFANA / "provisioning" / name).read_text(), re.MULTILINE
    )
    return str(value)


@pytest.fixture(scope="module")
def mounts() -> dict[str, Path]:
    return {each["target"]: Path(each["source"]) for each in grafana_service()["volumes"]}


def test_compose_accepts_the_file_and_its_variables() -> None:
    environ = {"GRAFANA_IMAGE": "mirror/grafana:11", "GRAFANA_PORT": "3001", "PROMETHEUS_URL": "u"}
    service = grafana_service(**environ)
    assert service["image"] == "mirror/grafana:11"
    assert service["environment"]["GF_SERVER_HTTP_PORT"] == "3001"
    assert service["environment"]["PROMETHEUS_URL"] == "u"
    assert re.fullmatch(r"grafana/grafana:1[123]\.\d+\.\d+", grafana_service()["image"])


def test_every_mounted_folder_exists(mounts: dict[str, Path]) -> None:
    # Compose would create a missing folder, and Grafana would start without its configuration.
    assert [source for source in mounts.values() if not source.is_dir()] == []
    provisioning = mounts["/etc/grafana/provisioning"]
    assert sorted(str(each.relative_to(provisioning)) for each in provisioning.rglob("*.yml")) == [
        "dashboards/py-cicd.yml",
        "datasources/prometheus.yml",
    ]


def test_provisioning_names_the_folder_of_the_dashboards(mounts: dict[str, Path]) -> None:
    folder = mounts[provisioned("dashboards/py-cicd.yml", "path")]
    assert folder == HERE / "dashboards"
    assert list(folder.glob("*.json"))


def test_the_data_source_uses_the_prometheus_url_of_the_compose_file() -> None:
    variable = provisioned("datasources/prometheus.yml", "url").removeprefix("$")
    assert variable in grafana_service()["environment"]
    # The dashboards' variable lists data sources of this type, the default one first.
    assert provisioned("datasources/prometheus.yml", "type") == "prometheus"
    assert provisioned("datasources/prometheus.yml", "isDefault") == "true"
