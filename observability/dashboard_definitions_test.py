"""Dashboards are right: a live Prometheus with known traffic answers each query."""

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

from observability.dashboard_definitions import BOARDS
from observability.grafana_json import (
    Mark,
    Panel,
    Posted,
    render,
)
from observability.promtool import program
from observability.sample_traffic import (
    LENGTH_S,
    MARKED,
    SHOWN,
    exposition,
)

PANELS = {
    (board.uid.removeprefix("py-cicd-"), panel.number): panel
    for board in BOARDS
    for panel in board.panels
}


def test_every_panel_has_its_expected_values() -> None:
    assert set(SHOWN) == set(PANELS)
    assert all(len(SHOWN[key]) == len(panel.queries) for key, panel in PANELS.items())


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, float]]:
    """A live Prometheus that holds the known traffic; yields its address and the traffic's end."""
    folder, end = tmp_path_factory.mktemp("prometheus"), float(int(time.time()) - 60)
    (folder / "known.om").write_text("".join(exposition(end)))
    (folder / "prometheus.yml").write_text("{}\n")
    words = ["tsdb", "create-blocks-from", "openmetrics", "known.om", "data"]
    subprocess.run([program("promtool"), *words], cwd=folder, check=True, capture_output=True)
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


def _ask(url: str, expr: str, end: float) -> list[dict[str, Any]]:
    asked = re.sub(r"\$(service|host|environment)\b", ".+", expr)
    query = urlencode({"query": asked.replace("$__rate_interval", "5m"), "time": f"{end:.3f}"})
    with urlopen(f"{url}/api/v1/query?{query}", timeout=30) as answer:  # noqa: S310 - our own
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return found


@pytest.mark.parametrize(("board", "number"), sorted(PANELS))
def test_a_panel_shows_what_was(prometheus: tuple[str, float], board: str, number: int) -> None:
    url, end = prometheus
    panel: Panel = PANELS[(board, number)]
    for query, expected in zip(panel.queries, SHOWN[(board, number)], strict=True):
        found = _ask(url, query.expr, end)
        values = sorted(float(each["value"][1]) for each in found)
        assert values == pytest.approx(sorted(expected), rel=1e-6), f"{panel.title}: {query.expr}"
        # The series are told apart by what their names are made of.
        labels = re.findall(r"\{\{(\w+)\}\}", query.legend)
        names = [tuple(each["metric"].get(label) for label in labels) for each in found]
        assert len(set(names)) == len(names), f"{panel.title}: {names}"
        assert all(name is not None for each in names for name in each), f"{panel.title}: {names}"


def test_variables_are_answered(prometheus: tuple[str, float]) -> None:
    url, end = prometheus
    for board in BOARDS:
        for variable in board.variables:
            found = _ask(url, f"count by ({variable.name}) ({variable.metric})", end)
            assert all(each["metric"].get(variable.name) for each in found), variable
            assert found, variable


MARKS = {mark.name: mark for board in BOARDS for mark in board.marks if isinstance(mark, Mark)}


def test_every_mark_has_its_expected_moments() -> None:
    assert set(MARKED) == set(MARKS)


def _titled(title: str, metric: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: metric.get(label[1], ""), title)


@pytest.mark.parametrize("name", sorted(MARKS))
def test_a_mark_stands_where_something_changed(prometheus: tuple[str, float], name: str) -> None:
    url, end = prometheus
    mark = MARKS[name]
    for moment, expected in MARKED[name].items():
        found = _ask(url, mark.expr, end - LENGTH_S + moment)
        said = [_titled(mark.title, each["metric"]) for each in found]
        assert said == expected, moment


def test_what_deploys_post_to_grafana_is_shown() -> None:
    for board in BOARDS:
        told = json.loads(render(board))["annotations"]["list"]
        posted = [each["target"] for each in told if each["datasource"]["uid"] == "-- Grafana --"]
        wanted = [mark.tag for mark in board.marks if isinstance(mark, Posted)]
        assert [each["tags"] for each in posted] == [[tag] for tag in wanted]
        assert all(each["type"] == "tags" for each in posted)
    shown = {mark.tag for board in BOARDS for mark in board.marks if isinstance(mark, Posted)}
    assert shown == {"deploy", "phase"}
