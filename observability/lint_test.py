"""The committed dashboards pass the linter, and each rule finds its problem in a broken dashboard."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from observability import lint
from observability.dashboard_definitions import DASHBOARDS

FILES = sorted((Path(__file__).parent / "dashboards").glob("*.json"))
SERVICE = json.loads((Path(__file__).parent / "dashboards" / "py-cicd-service.json").read_text())


def test_the_committed_dashboards_have_no_problems() -> None:
    assert len(FILES) == len(DASHBOARDS)
    assert [line for file in FILES for line in lint.problems_of(file)] == []


def _break(document: dict[str, Any], rule: str) -> None:
    panel = document["panels"][0]
    target = panel["targets"][0]
    match rule:
        case "template-datasource-rule":
            document["templating"]["list"].pop(0)
        case "template-label-rule":
            document["templating"]["list"][1]["label"] = ""
        case "template-on-time-change-reload-rule":
            document["templating"]["list"][1]["refresh"] = 1
        case "template-multi-rule":
            document["templating"]["list"][1]["multi"] = False
        case "uneditable-dashboard-rule":
            document["editable"] = True
        case "panel-id":
            document["panels"][1]["id"] = panel["id"]
        case "grid":
            document["panels"][1]["gridPos"] = panel["gridPos"]
        case "panel-title-description-rule":
            panel["description"] = ""
        case "panel-datasource-rule":
            panel["datasource"] = {"type": "prometheus", "uid": "other"}
        case "panel-units-rule":
            panel["fieldConfig"]["defaults"]["unit"] = "furlong"
        case "panel-no-targets-rule":
            panel["targets"] = []
        case "target-legend-rule":
            target["legendFormat"] = ""
        case "target-rate-interval-rule":
            target["expr"] = "rate(edge_requests_total[5m])"
        case "target-counter-agg-rule":
            target["expr"] = "sum(edge_requests_total{})"
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize(
    "rule",
    [
        *("template-datasource-rule", "template-label-rule", "template-on-time-change-reload-rule"),
        *(
            "template-multi-rule",
            "uneditable-dashboard-rule",
            "panel-id",
            "grid",
            "panel-units-rule",
        ),
        *("panel-title-description-rule", "panel-datasource-rule", "panel-no-targets-rule"),
        *("target-legend-rule", "target-rate-interval-rule", "target-counter-agg-rule"),
    ],
)
def test_a_broken_dashboard_violates_the_rule(rule: str) -> None:
    document = copy.deepcopy(SERVICE)
    _break(document, rule)
    assert any(each.startswith(rule) for each in lint.problems(document))


def test_main_prints_file_rule_and_panel_of_each_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = copy.deepcopy(SERVICE)
    _break(document, "panel-units-rule")
    broken, valid = tmp_path / "broken.json", tmp_path / "valid.json"
    broken.write_text(json.dumps(document))
    valid.write_text(json.dumps(SERVICE))
    assert lint.main([str(valid)]) == 0
    assert lint.main([str(valid), str(broken)]) == 1
    title = document["panels"][0]["title"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{broken}: panel-units-rule: {title} has the unit furlong,")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "file: can't read it: No such file or directory"),
        ("{", "json: Expecting property name enclosed in double quotes"),
        ("[]", "schema: not a dashboard in classic JSON: TypeError"),
        ('{"panels": []}', "schema: not a dashboard in classic JSON: KeyError 'templating'"),
    ],
    ids=["missing file", "invalid JSON", "list", "other document"],
)
def test_a_file_that_is_not_a_dashboard_is_one_problem(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    file = tmp_path / "odd.json"
    if text is not None:
        file.write_text(text)
    (line,) = lint.problems_of(file)
    assert line.startswith(f"{file}: {problem}")
