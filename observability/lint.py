"""What Grafana's dashboard-linter asks of a dashboard, and what we ask beside; it reads the JSON that is committed.

`./pants lint observability::` runs it (pants-plugins/dashboards), as does `python3 -m observability.lint FILE...`.
https://github.com/grafana/dashboard-linter/tree/main/docs
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Grafana's unit ids that are in use here: https://github.com/grafana/grafana, packages/grafana-data valueFormats
UNITS = frozenset({"short", "reqps", "percentunit", "s", "bytes", "Bps"})
_COUNTER = re.compile(r"\b\w+_total\b(?!\s*\[)")


def problems(board: Mapping[str, Any]) -> list[str]:
    """Returns what is wrong with a dashboard, each with the name of its rule."""
    return [*_of_board(board), *(each for panel in board["panels"] for each in _of_panel(panel))]


def _of_board(board: Mapping[str, Any]) -> Iterator[str]:
    variables = {each["name"]: each for each in board["templating"]["list"]}
    source = variables.get("datasource")
    if source is None or (source["type"], source["query"]) != ("datasource", "prometheus"):
        yield "template-datasource-rule: no variable `datasource` of type prometheus"
    for name, variable in variables.items():
        if not variable.get("label"):
            yield f"template-label-rule: {name} has no label"
        if variable["type"] == "query":
            if variable["refresh"] != 2:
                yield f"template-on-time-change-reload-rule: {name} doesn't follow the time range"
            if not variable["query"]["query"].startswith("label_values("):
                yield f"template-label-promql-rule: {name}"
            if not variable["multi"] or variable["allValue"] != ".+":
                yield f"template-multi-rule: {name} takes one value only"
    if board["editable"]:
        yield "uneditable-dashboard-rule: it can be edited, and would be lost at the next start"
    if not board["uid"] or not board["title"] or not board["description"]:
        yield "identity: uid, title and description must be there"
    numbers = [panel["id"] for panel in board["panels"]]
    if len(set(numbers)) != len(numbers):
        yield f"panel-id: {numbers} are not unique"
    yield from _overlaps(board["panels"])


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
                    yield f"grid: {panel['title']} lies over {other}"
                    return


def _of_panel(panel: Mapping[str, Any]) -> Iterator[str]:
    name = panel.get("title") or f"panel {panel['id']}"
    if not panel.get("title") or not panel.get("description"):
        yield f"panel-title-description-rule: {name}"
    if panel["datasource"].get("uid") not in ("$datasource", "${datasource}"):
        yield f"panel-datasource-rule: {name} names a data source of its own"
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if unit not in UNITS:
        yield f"panel-units-rule: {name} has the unit {unit}, which is none of {', '.join(sorted(UNITS))}"
    if not panel["targets"]:
        yield f"panel-no-targets-rule: {name}"
    for target in panel["targets"]:
        yield from _of_target(name, target)


def _of_target(name: str, target: Mapping[str, Any]) -> Iterator[str]:
    expr = target["expr"]
    if not target.get("legendFormat"):
        yield f"target-legend-rule: {name} shows bare label sets"
    for window in re.findall(r"\[([^\]]+)\]", expr):
        if window != "$__rate_interval":
            yield f"target-rate-interval-rule: {name} has a fixed window [{window}]"
    without = re.sub(r"\{[^{}]*\}", "", expr)
    if found := _COUNTER.search(without):
        yield f"target-counter-agg-rule: {name} shows the counter {found[0]} without rate()"
    if re.search(r"\brate\(\s*sum", expr):
        yield f"target-counter-agg-rule: {name} takes the rate of a sum"


def problems_of(path: Path) -> list[str]:
    """Returns what is wrong with a dashboard's file, a line each; a file that is no dashboard is one problem."""
    try:
        found = problems(json.loads(path.read_text()))
    except OSError as error:
        found = [f"file: it can't be read: {error.strerror}"]
    except ValueError as error:
        found = [f"json: {error}"]
    except (KeyError, TypeError, AttributeError) as error:
        found = [f"schema: it is no dashboard in classic JSON: {type(error).__name__} {error}"]
    return [f"{path}: {each}" for each in found]


def main(paths: Sequence[str]) -> int:
    """Prints every problem of these files; returns 1 if there is one."""
    found = [line for path in paths for line in problems_of(Path(path))]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
