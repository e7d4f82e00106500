"""Runs promtool's rule tests on many rules in few calls; it never judges a rule itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from observability.rule_cases import (
    Case,
    Check,
    Labels,
)
from observability.rules import Alert, Group, Recording, Rule, render

AT_ONCE = 1
A_CALL = 40


def program(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Returns the path of a program that set-up brought to check what ships (libs/toolchain/tools/test_programs.py)."""
    cache = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "/root")) / ".cache")
    path = Path(cache) / "py-cicd" / "current" / name
    assert path.exists(), f"{path} is not there: ./pants brings it"
    return str(path)


@dataclass(frozen=True)
class Trial:
    """A rule, true or changed, and the cases that it must pass."""

    rule: Rule
    cases: tuple[Case, ...]


def failing(trials: Sequence[Trial], folder: Path) -> list[bool]:
    """Returns for each trial whether promtool found a case that isn't as it should be."""
    for number, trial in enumerate(trials):
        (folder / f"{number}.rules.yml").write_text(render((Group("trial", (trial.rule,)),)))
        (folder / f"{number}.test.json").write_text(json.dumps(_document(number, trial)))
    batches = [range(at, min(at + A_CALL, len(trials))) for at in range(0, len(trials), A_CALL)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda batch: _failed(batch, folder), batches)
    failed = {number for each in found for number in each}
    return [number in failed for number in range(len(trials))]


def _failed(batch: Sequence[int], folder: Path) -> set[int]:
    report = folder / f"{batch[0]}.xml"
    told = [f"{number}.test.json" for number in batch]
    argv = [program("promtool"), "test", "rules", f"--junit={report}", *told]
    # In one stream: the failures come out elsewhere than the rest.
    said = subprocess.run(
        argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    ).stdout
    suites = {each.get("name"): each for each in ET.parse(report).getroot()}  # noqa: S314 - promtool's
    assert set(suites) == set(told), said
    failed = set()
    for number, name in zip(batch, told, strict=True):
        cases = suites[name]
        # A file that can't be tested at all is no failed expectation.
        assert int(cases.get("errors", "0")) == 0, said
        assert len(cases) > 0, said
        if int(cases.get("failures", "0")):
            failed.add(number)
            (folder / f"{number}.said").write_text("".join(cases.itertext()))
    return failed


def _document(number: int, trial: Trial) -> dict[str, object]:
    least = min(case.step for case in trial.cases)
    return {
        "rule_files": [f"{number}.rules.yml"],
        "evaluation_interval": f"{least}s",
        "tests": [
            {
                "interval": f"{case.step}s",
                "input_series": [
                    {"series": name, "values": values} for name, values in case.series.items()
                ],
                "promql_expr_test": [_expected(trial.rule, check) for check in case.checks],
            }
            for case in trial.cases
        ],
    }


def _expected(rule: Rule, check: Check) -> dict[str, object]:
    if isinstance(rule, Recording):
        # To six digits: the last ones depend on the order of a sum.
        share = f"round({rule.record} / {check.value!r} * 1e6)"
        sample = {"labels": _metric("", check.labels), "value": 1e6}
        return {"expr": share, "eval_time": f"{check.at:g}s", "exp_samples": [sample]}
    chosen = f'ALERTS{{alertname="{rule.name}",alertstate="firing"}}'
    return {
        "expr": chosen,
        "eval_time": f"{int(check.at)}s",
        "exp_samples": [
            {"labels": _metric("ALERTS", _alerting(rule, each)), "value": 1}
            for each in check.firing
        ],
    }


def _alerting(rule: Alert, labels: Labels) -> dict[str, str]:
    own = {"alertname": rule.name, "alertstate": "firing", "severity": rule.severity}
    return {**labels, **own, **rule.labels}


def _metric(name: str, labels: Labels) -> str:
    return name + "{" + ",".join(f'{each}="{value}"' for each, value in labels.items()) + "}"
