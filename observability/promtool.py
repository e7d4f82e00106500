"""Tests many rules with few calls of promtool."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from observability.rule_cases import (
    Expectation,
    Labels,
    RuleCase,
)
from observability.rules import AlertRule, RecordingRule, Rule, RuleGroup, render

BATCH_SIZE = 40


def program(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Returns the path of a test program installed by set-up (libs/toolchain/tools/test_programs.py)."""
    cache = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "/root")) / ".cache")
    path = Path(cache) / "py-cicd" / "current" / name
    assert path.exists(), f"{path} is missing; run ./pants to install it"
    return str(path)


@dataclass(frozen=True)
class RuleTest:
    """A rule, original or mutated, and the cases that it must pass."""

    rule: Rule
    cases: tuple[RuleCase, ...]


def run_tests(tests: Sequence[RuleTest], folder: Path) -> list[str | None]:
    """Returns promtool's report of each test that failed, None for one that passed."""
    for number, test in enumerate(tests):
        (folder / f"{number}.rules.yml").write_text(render((RuleGroup("test", (test.rule,)),)))
        (folder / f"{number}.test.json").write_text(json.dumps(_test_file(number, test)))
    numbers = range(len(tests))
    batches = [numbers[start : start + BATCH_SIZE] for start in numbers[::BATCH_SIZE]]
    return [failure for batch in batches for failure in _run_batch(batch, folder)]


def _run_batch(batch: Sequence[int], folder: Path) -> Iterator[str | None]:
    report = folder / f"{batch[0]}.xml"
    files = [f"{number}.test.json" for number in batch]
    argv = [program("promtool"), "test", "rules", f"--junit={report}", *files]
    # promtool splits its messages between both streams.
    output = subprocess.run(
        argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    ).stdout
    suites = {each.get("name"): each for each in ET.parse(report).getroot()}  # noqa: S314 - promtool's
    assert set(suites) == set(files), output
    for file in files:
        suite = suites[file]
        # A file that promtool can't test at all must not count as a failed expectation.
        assert int(suite.get("errors", "0")) == 0, output
        assert len(suite) > 0, output
        yield "".join(suite.itertext()) if int(suite.get("failures", "0")) else None


def _test_file(number: int, test: RuleTest) -> dict[str, object]:
    interval_s = min(case.step_s for case in test.cases)
    return {
        "rule_files": [f"{number}.rules.yml"],
        "evaluation_interval": f"{interval_s}s",
        "tests": [
            {
                "interval": f"{case.step_s}s",
                "input_series": [
                    {"series": name, "values": values} for name, values in case.series.items()
                ],
                "promql_expr_test": [
                    _expression_test(test.rule, expected) for expected in case.expected
                ],
            }
            for case in test.cases
        ],
    }


def _expression_test(rule: Rule, expected: Expectation) -> dict[str, object]:
    if isinstance(rule, RecordingRule):
        # Six digits only: the last ones depend on the order of summation.
        ratio = f"round({rule.record} / {expected.value!r} * 1e6)"
        sample = {"labels": _series("", expected.labels), "value": 1e6}
        return {"expr": ratio, "eval_time": f"{expected.at_s:g}s", "exp_samples": [sample]}
    firing = f'ALERTS{{alertname="{rule.name}",alertstate="firing"}}'
    return {
        "expr": firing,
        "eval_time": f"{int(expected.at_s)}s",
        "exp_samples": [
            {"labels": _series("ALERTS", _alert_labels(rule, labels)), "value": 1}
            for labels in expected.firing
        ],
    }


def _alert_labels(rule: AlertRule, labels: Labels) -> dict[str, str]:
    own = {"alertname": rule.name, "alertstate": "firing", "severity": rule.severity}
    return {**labels, **own, **rule.labels}


def _series(name: str, labels: Labels) -> str:
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"
