"""Renders dashboards as Grafana's classic JSON, which Grafana 11 to 13 load from files.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

type PanelType = Literal["timeseries", "stat", "table", "bargauge"]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GRAFANA = {"type": "grafana", "uid": "-- Grafana --"}
"""Grafana's built-in store of annotations."""
_SIZES: dict[PanelType, tuple[int, int]] = {
    "timeseries": (12, 8),
    "stat": (6, 4),
    "table": (24, 8),
    "bargauge": (12, 8),
}
_WIDTH = 24
NO_DATA = "no data"


@dataclass(frozen=True)
class Query:
    """A PromQL query and the names of its series (`{{label}}` is replaced by the label's value)."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel. `number` must never change, since links and annotations use it. `unit` is an id of Grafana's.

    `empty` is shown if the queries return nothing. A panel with another text than the default may be empty where all is
    well.
    """

    number: int
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    type: PanelType = "timeseries"
    empty: str = NO_DATA

    @property
    def may_be_empty(self) -> bool:
        """Whether no data is good news."""
        return self.empty != NO_DATA


@dataclass(frozen=True)
class Variable:
    """A drop-down list at the top, filled with the values of a metric's label."""

    name: str
    label: str
    metric: str


@dataclass(frozen=True)
class QueryAnnotation:
    """Marks the times at which a query returns series: new releases, firing alerts."""

    name: str
    expr: str
    title: str
    color: str


@dataclass(frozen=True)
class TagAnnotation:
    """Marks the periods that were posted to Grafana with this tag: deploys and their phases."""

    name: str
    tag: str
    color: str


@dataclass(frozen=True)
class Dashboard:
    """A dashboard. `uid` is part of its URL; `start` is where its time range begins."""

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = ()
    annotations: tuple[QueryAnnotation | TagAnnotation, ...] = ()
    start: str = "now-1h"


def render(dashboard: Dashboard) -> str:
    """Returns the dashboard's classic JSON."""
    return json.dumps(_dashboard(dashboard), indent=2, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["py-cicd"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": dashboard.start, "to": "now"},
        "templating": {"list": [_datasource(), *map(_variable, dashboard.variables)]},
        "annotations": {"list": [_annotation(each) for each in dashboard.annotations]},
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
        "panels": _lay_out(dashboard.panels),
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


def _annotation(annotation: QueryAnnotation | TagAnnotation) -> dict[str, Any]:
    """https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/annotate-visualizations/"""
    common = {"name": annotation.name, "enable": True, "iconColor": annotation.color}
    match annotation:
        case QueryAnnotation(expr=expr, title=title):
            return {
                **common,
                "datasource": SOURCE,
                "expr": expr,
                "titleFormat": title,
                "step": "15s",
            }
        case TagAnnotation(tag=tag):
            target = {"type": "tags", "tags": [tag], "matchAny": False, "limit": 200}
            return {**common, "datasource": GRAFANA, "target": target}


def _lay_out(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """Places panels from left to right; starts a new row where one doesn't fit."""
    placed, x, y, row_height = [], 0, 0, 0
    for panel in panels:
        width, height = _SIZES[panel.type]
        if x + width > _WIDTH:
            x, y, row_height = 0, y + row_height, 0
        placed.append(_panel(panel, {"x": x, "y": y, "w": width, "h": height}))
        x, row_height = x + width, max(row_height, height)
    return placed


def _panel(panel: Panel, position: dict[str, int]) -> dict[str, Any]:
    instant = panel.type != "timeseries"
    return {
        "id": panel.number,
        "type": panel.type,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, "noValue": panel.empty}, "overrides": []},
        "options": _OPTIONS[panel.type],
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                **({"instant": True, "range": False} if instant else {"range": True}),
                **({"format": "table"} if panel.type == "table" else {}),
            }
            for number, query in enumerate(panel.queries)
        ],
    }


_LAST = {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}}
_OPTIONS: dict[PanelType, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {**_LAST, "colorMode": "value", "graphMode": "none"},
    "table": {"showHeader": True},
    "bargauge": {**_LAST, "orientation": "horizontal"},
}
