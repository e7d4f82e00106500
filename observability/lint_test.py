"""The linter finds nothing in what is committed, and each of its rules finds what it is for."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from observability import lint
from observability.dashboard_definitions import BOARDS

FILES = sorted((Path(__file__).parent / "dashboards").glob("*.json"))
SERVICE = json.loads((Path(__file__).parent / "dashboards" / "py-cicd-service.json").read_text())


def test_the_linter_finds_nothing_in_what_is_committed() -> None:
    assert len(FILES) == len(BOARDS)
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
            panel["datasource"] = {"type": "prometheus", "uid": "mine"}
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
def test_the_linter_finds_what_is_wrong(rule: str) -> None:
    document = copy.deepcopy(SERVICE)
    _break(document, rule)
    assert any(each.startswith(rule) for each in lint.problems(document))


def test_a_problem_is_a_line_with_file_rule_and_panel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = copy.deepcopy(SERVICE)
    _break(document, "panel-units-rule")
    broken, well = tmp_path / "broken.json", tmp_path / "well.json"
    broken.write_text(json.dumps(document))
    well.write_text(json.dumps(SERVICE))
    assert lint.main([str(well)]) == 0
    assert lint.main([str(well), str(broken)]) == 1
    title = document["panels"][0]["title"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{broken}: panel-units-rule: {title} has the unit furlong,")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "file: it can't be read: No such file or directory"),
        ("{", "json: Expecting property name enclosed in double quotes"),
        ("[]", "schema: it is no dashboard in classic JSON: TypeError"),
        ('{"panels": []}', "schema: it is no dashboard in classic JSON: KeyError 'templating'"),
    ],
    ids=["not there", "no JSON", "a list", "another document"],
)
def test_what_is_no_dashboard_is_one_problem(tmp_path: Path, text: str | None, told: str) -> None:
    file = tmp_path / "odd.json"
    if text is not None:
        file.write_text(text)
    (line,) = lint.problems_of(file)
    assert line.startswith(f"{file}: {told}")
