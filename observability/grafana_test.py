"""Grafana's compose file is one to Compose, and its files fit together; Grafana itself is not started."""

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


def composed(**settings: str) -> dict[str, Any]:
    """The service as Compose reads it."""
    argv = [program("docker-compose"), "-f", str(GRAFANA / "compose.yml"), "config"]
    done = subprocess.run(
        [*argv, "--format=json"], env=settings, capture_output=True, text=True, check=False
    )
    # Compose warns of what it doesn't fail for, such as a variable that is not set.
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout)["services"]["grafana"]
    return document


def written(name: str, key: str) -> str:
    """The value of a key that stands once in a provisioning file."""
    (value,) = re.findall(
        rf"^ *{key}: (.+)$", (GRAFANA / "provisioning" / name).read_text(), re.MULTILINE
    )
    return str(value)


@pytest.fixture(scope="module")
def mounts() -> dict[str, Path]:
    return {each["target"]: Path(each["source"]) for each in composed()["volumes"]}


def test_compose_reads_it_with_the_settings_that_it_names() -> None:
    asked = {"GRAFANA_IMAGE": "mirror/grafana:11", "GRAFANA_PORT": "3001", "PROMETHEUS_URL": "u"}
    told = composed(**asked)
    assert told["image"] == "mirror/grafana:11"
    assert told["environment"]["GF_SERVER_HTTP_PORT"] == "3001"
    assert told["environment"]["PROMETHEUS_URL"] == "u"
    assert re.fullmatch(r"grafana/grafana:1[123]\.\d+\.\d+", composed()["image"])


def test_every_folder_that_it_mounts_is_there(mounts: dict[str, Path]) -> None:
    # Compose would make an empty folder of one that isn't, and Grafana would start with nothing.
    assert [source for source in mounts.values() if not source.is_dir()] == []
    provisioning = mounts["/etc/grafana/provisioning"]
    assert sorted(str(each.relative_to(provisioning)) for each in provisioning.rglob("*.yml")) == [
        "dashboards/py-cicd.yml",
        "datasources/prometheus.yml",
    ]


def test_the_dashboards_lie_where_provisioning_looks(mounts: dict[str, Path]) -> None:
    folder = mounts[written("dashboards/py-cicd.yml", "path")]
    assert folder == HERE / "dashboards"
    assert list(folder.glob("*.json"))


def test_the_data_source_asks_the_prometheus_that_compose_names() -> None:
    variable = written("datasources/prometheus.yml", "url").removeprefix("$")
    assert variable in composed()["environment"]
    # The dashboards' variable offers data sources of this type, the default one first.
    assert written("datasources/prometheus.yml", "type") == "prometheus"
    assert written("datasources/prometheus.yml", "isDefault") == "true"
