"""Queries of all dashboards return the expected values from a live Prometheus with sample traffic."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from observability.dashboard_definitions import DASHBOARDS
from observability.grafana_json import (
    Panel,
    QueryAnnotation,
    TagAnnotation,
    render,
)
from observability.promtool import program
from observability.sample_traffic import (
    DURATION_S,
    EXPECTED_ANNOTATIONS,
    EXPECTED_VALUES,
    exposition,
)

PANELS = {
    (dashboard.uid.removeprefix("py-cicd-"), panel.number): panel
    for dashboard in DASHBOARDS
    for panel in dashboard.panels
}


def test_every_panel_has_its_expected_values() -> None:
    assert set(EXPECTED_VALUES) == set(PANELS)
    assert all(len(EXPECTED_VALUES[key]) == len(panel.queries) for key, panel in PANELS.items())


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, float]]:
    """Runs a Prometheus with the sample traffic; yields its URL and the time of the last sample."""
    folder, end = tmp_path_factory.mktemp("prometheus"), float(int(time.time()) - 60)
    (folder / "traffic.om").write_text("".join(exposition(end)))
    (folder / "prometheus.yml").write_text("{}\n")
    arguments = ["tsdb", "create-blocks-from", "openmetrics", "traffic.om", "data"]
    subprocess.run([program("promtool"), *arguments], cwd=folder, check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    argv.append(f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log)
    try:
        _await_ready(f"http://127.0.0.1:{port}", process, folder / "log")
        yield f"http://127.0.0.1:{port}", end
    finally:
        process.terminate()
        process.wait(30)


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(f"{url}/-/ready", timeout=5):  # noqa: S310 - our own
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()


def _query(url: str, expr: str, at: float) -> list[dict[str, Any]]:
    expr = re.sub(r"\$(service|host|environment)\b", ".+", expr)
    query = urlencode({"query": expr.replace("$__rate_interval", "5m"), "time": f"{at:.3f}"})
    with urlopen(f"{url}/api/v1/query?{query}", timeout=30) as response:  # noqa: S310 - our own
        series: list[dict[str, Any]] = json.load(response)["data"]["result"]
    return series


@pytest.mark.parametrize(("dashboard", "number"), sorted(PANELS))
def test_a_panel_shows_the_expected_values(
    prometheus: tuple[str, float], dashboard: str, number: int
) -> None:
    url, end = prometheus
    panel: Panel = PANELS[(dashboard, number)]
    for query, expected in zip(panel.queries, EXPECTED_VALUES[(dashboard, number)], strict=True):
        series = _query(url, query.expr, end)
        values = sorted(float(each["value"][1]) for each in series)
        assert values == pytest.approx(sorted(expected), rel=1e-6), f"{panel.title}: {query.expr}"
        # The legend must use labels that exist and distinguish the series.
        labels = re.findall(r"\{\{(\w+)\}\}", query.legend)
        names = [tuple(each["metric"].get(label) for label in labels) for each in series]
        assert len(set(names)) == len(names), f"{panel.title}: {names}"
        assert all(part is not None for name in names for part in name), f"{panel.title}: {names}"


def test_every_variable_has_values(prometheus: tuple[str, float]) -> None:
    url, end = prometheus
    for dashboard in DASHBOARDS:
        for variable in dashboard.variables:
            series = _query(url, f"count by ({variable.name}) ({variable.metric})", end)
            assert all(each["metric"].get(variable.name) for each in series), variable
            assert series, variable


ANNOTATIONS = {
    annotation.name: annotation
    for dashboard in DASHBOARDS
    for annotation in dashboard.annotations
    if isinstance(annotation, QueryAnnotation)
}


def test_every_annotation_has_its_expected_titles() -> None:
    assert set(EXPECTED_ANNOTATIONS) == set(ANNOTATIONS)


def _fill_in(title: str, metric: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: metric.get(label[1], ""), title)


@pytest.mark.parametrize("name", sorted(ANNOTATIONS))
def test_an_annotation_appears_when_it_should(prometheus: tuple[str, float], name: str) -> None:
    url, end = prometheus
    annotation = ANNOTATIONS[name]
    for second, expected in EXPECTED_ANNOTATIONS[name].items():
        series = _query(url, annotation.expr, end - DURATION_S + second)
        titles = [_fill_in(annotation.title, each["metric"]) for each in series]
        assert titles == expected, second


def test_dashboards_show_the_annotations_that_deploys_post() -> None:
    all_tags = set()
    for dashboard in DASHBOARDS:
        rendered = json.loads(render(dashboard))["annotations"]["list"]
        targets = [
            each["target"] for each in rendered if each["datasource"]["uid"] == "-- Grafana --"
        ]
        tags = [each.tag for each in dashboard.annotations if isinstance(each, TagAnnotation)]
        assert [target["tags"] for target in targets] == [[tag] for tag in tags]
        assert all(target["type"] == "tags" for target in targets)
        all_tags.update(tags)
    assert all_tags == {"deploy", "phase"}
