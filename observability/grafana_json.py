"""Dashboards as values, and Grafana's classic JSON of them; what is on them stands in `boards`, never here.

The JSON is the model that Grafana 11 to 13 load from files:
https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

type Kind = Literal["timeseries", "stat", "table", "bargauge"]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GRAFANA = {"type": "grafana", "uid": "-- Grafana --"}
"""Grafana's own store of annotations, which each Grafana has under this name."""
_SIZES: dict[Kind, tuple[int, int]] = {
    "timeseries": (12, 8),
    "stat": (6, 4),
    "table": (24, 8),
    "bargauge": (12, 8),
}
_WIDTH = 24


@dataclass(frozen=True)
class Query:
    """PromQL and how its series are named (`{{label}}`)."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel. `number` is its id for ever: links and annotations name it. `unit` is one of Grafana's ids."""

    number: int
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"


@dataclass(frozen=True)
class Variable:
    """A choice at the top, filled from a metric's label."""

    name: str
    label: str
    metric: str


@dataclass(frozen=True)
class Mark:
    """Vertical lines where an expression changes: a rollout's phases, alerts."""

    name: str
    expr: str
    title: str
    color: str


@dataclass(frozen=True)
class Posted:
    """Stretches of time that were posted to Grafana itself with this tag: deploys and their phases."""

    name: str
    tag: str
    color: str


@dataclass(frozen=True)
class Board:
    """A dashboard; `uid` is part of its address."""

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = ()
    marks: tuple[Mark | Posted, ...] = ()
    span: str = "now-1h"


def render(board: Board) -> str:
    """Writes the classic JSON."""
    return json.dumps(_board(board), indent=2, ensure_ascii=False) + "\n"


def _board(board: Board) -> dict[str, Any]:
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["py-cicd"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": board.span, "to": "now"},
        "templating": {"list": [_datasource(), *(_variable(each) for each in board.variables)]},
        "annotations": {"list": [_mark(each) for each in board.marks]},
        "links": [
            {
                "type": "dashboards",
                "title": "py-cicd",
                "tags": ["py-cicd"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "panels": _placed(board.panels),
    }


def _datasource() -> dict[str, Any]:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
    }


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.label,
        "datasource": SOURCE,
        "query": {
            "query": f"label_values({variable.metric}, {variable.name})",
            "refId": f"variable-{variable.name}",
        },
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
    }


def _mark(mark: Mark | Posted) -> dict[str, Any]:
    """https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/annotate-visualizations/"""
    common = {"name": mark.name, "enable": True, "iconColor": mark.color}
    match mark:
        case Mark(expr=expr, title=title):
            return {
                **common,
                "datasource": SOURCE,
                "expr": expr,
                "titleFormat": title,
                "step": "15s",
            }
        case Posted(tag=tag):
            target = {"type": "tags", "tags": [tag], "matchAny": False, "limit": 200}
            return {**common, "datasource": GRAFANA, "target": target}


def _placed(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """Lays panels out from left to right, a new line where one doesn't fit."""
    placed, x, y, height = [], 0, 0, 0
    for panel in panels:
        wide, high = _SIZES[panel.kind]
        if x + wide > _WIDTH:
            x, y, height = 0, y + height, 0
        placed.append(_panel(panel, {"x": x, "y": y, "w": wide, "h": high}))
        x, height = x + wide, max(height, high)
    return placed


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    now = panel.kind != "timeseries"
    return {
        "id": panel.number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "noValue": "no data"}, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                **({"instant": True, "range": False} if now else {"range": True}),
                **({"format": "table"} if panel.kind == "table" else {}),
            }
            for number, query in enumerate(panel.queries)
        ],
    }


_LAST = {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}}
_OPTIONS: dict[Kind, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {**_LAST, "colorMode": "value", "graphMode": "none"},
    "table": {"showHeader": True},
    "bargauge": {**_LAST, "orientation": "horizontal"},
}
