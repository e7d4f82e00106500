"""Lints dashboards by the rules of Grafana's dashboard-linter and a few of our own.

Run it with `./pants lint observability::` (pants-plugins/dashboards) or `python3 -m observability.lint FILE...`.
https://github.com/grafana/dashboard-linter/tree/main/docs
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# The ids of the units that these dashboards use: https://github.com/grafana/grafana, packages/grafana-data valueFormats
UNITS = frozenset({"short", "reqps", "percentunit", "s", "bytes", "Bps"})
_COUNTER = re.compile(r"\b\w+_total\b(?!\s*\[)")


def problems(dashboard: Mapping[str, Any]) -> list[str]:
    """Returns the problems of a dashboard, each beginning with the name of its rule."""
    return [
        *_dashboard_problems(dashboard),
        *(problem for panel in dashboard["panels"] for problem in _panel_problems(panel)),
    ]


def _dashboard_problems(dashboard: Mapping[str, Any]) -> Iterator[str]:
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    source = variables.get("datasource")
    if source is None or (source["type"], source["query"]) != ("datasource", "prometheus"):
        yield "template-datasource-rule: no variable `datasource` of type prometheus"
    for name, variable in variables.items():
        if not variable.get("label"):
            yield f"template-label-rule: {name} has no label"
        if variable["type"] == "query":
            if variable["refresh"] != 2:
                yield f"template-on-time-change-reload-rule: {name} isn't reloaded when the time range changes"
            if not variable["query"]["query"].startswith("label_values("):
                yield f"template-label-promql-rule: {name} has no label_values() query"
            if not variable["multi"] or variable["allValue"] != ".+":
                yield f"template-multi-rule: {name} allows one value only"
    if dashboard["editable"]:
        yield "uneditable-dashboard-rule: it is editable, but Grafana discards edits at the next start"
    if not dashboard["uid"] or not dashboard["title"] or not dashboard["description"]:
        yield "identity: uid, title and description are required"
    numbers = [panel["id"] for panel in dashboard["panels"]]
    if len(set(numbers)) != len(numbers):
        yield f"panel-id: {numbers} has duplicates"
    yield from _overlaps(dashboard["panels"])


def _overlaps(panels: list[Mapping[str, Any]]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"grid: {panel['title']} is wider than the page"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                if other != panel["title"]:
                    yield f"grid: {panel['title']} overlaps {other}"
                    return


def _panel_problems(panel: Mapping[str, Any]) -> Iterator[str]:
    name = panel.get("title") or f"panel {panel['id']}"
    if not panel.get("title") or not panel.get("description"):
        yield f"panel-title-description-rule: {name} has no title or description"
    if panel["datasource"].get("uid") not in ("$datasource", "${datasource}"):
        yield f"panel-datasource-rule: {name} doesn't use the variable `datasource`"
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if unit not in UNITS:
        yield f"panel-units-rule: {name} has the unit {unit}, expected one of {', '.join(sorted(UNITS))}"
    if not panel["targets"]:
        yield f"panel-no-targets-rule: {name} has no queries"
    for target in panel["targets"]:
        yield from _target_problems(name, target)


def _target_problems(name: str, target: Mapping[str, Any]) -> Iterator[str]:
    expr = target["expr"]
    if not target.get("legendFormat"):
        yield f"target-legend-rule: {name} has no legend"
    for window in re.findall(r"\[([^\]]+)\]", expr):
        if window != "$__rate_interval":
            yield f"target-rate-interval-rule: {name} has a fixed window [{window}], expected [$__rate_interval]"
    without_selectors = re.sub(r"\{[^{}]*\}", "", expr)
    if counter := _COUNTER.search(without_selectors):
        yield f"target-counter-agg-rule: {name} shows the counter {counter[0]} without rate()"
    if re.search(r"\brate\(\s*sum", expr):
        yield f"target-counter-agg-rule: {name} takes the rate of a sum"


def problems_of(path: Path) -> list[str]:
    """Returns the problems of a dashboard file, one line each. A file that can't be read is one problem."""
    try:
        messages = problems(json.loads(path.read_text()))
    except OSError as error:
        messages = [f"file: can't read it: {error.strerror}"]
    except ValueError as error:
        messages = [f"json: {error}"]
    except (KeyError, TypeError, AttributeError) as error:
        messages = [f"schema: not a dashboard in classic JSON: {type(error).__name__} {error}"]
    return [f"{path}: {message}" for message in messages]


def main(paths: Sequence[str]) -> int:
    """Prints the problems of these files. Returns 1 if there are any, else 0."""
    lines = [line for path in paths for line in problems_of(Path(path))]
    print("\n".join(lines), end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
