"""Rules pass their cases in promtool, their mutations fail; generated files and runbooks match the rules."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from observability.__main__ import HERE, generated_files
from observability.alertmanager_config import INHIBITIONS
from observability.mutations import mutations
from observability.promtool import RuleTest, program, run_tests
from observability.rule_cases import cases_of
from observability.rules import GROUPS, RecordingRule, alerts, runbook

RULES = [rule for group in GROUPS for rule in group.rules]
RUNBOOKS = HERE.parent / "docs" / "runbooks"
NAMES = sorted({alert.name for alert in alerts()})


@pytest.mark.parametrize("name", sorted(generated_files()))
def test_committed_file_matches_the_code(name: str) -> None:
    assert (HERE / name).read_text() == generated_files()[name], "run python3 -m observability"


def test_promtool_and_amtool_accept_the_files() -> None:
    for tool, *arguments, name in (
        ("promtool", "check", "rules", "--lint=all", "--lint-fatal", "prometheus/rules.yml"),
        ("amtool", "check-config", "alertmanager/alertmanager.yml"),
    ):
        done = subprocess.run(
            [program(tool), *arguments, str(HERE / name)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_passes_its_cases(tmp_path: Path) -> None:
    tests = [RuleTest(rule, cases_of(rule)) for rule in RULES]
    failures = [failure for failure in run_tests(tests, tmp_path) if failure is not None]
    assert not failures, "\n".join(failures)


def test_every_mutation_of_a_rule_fails_a_case(tmp_path: Path) -> None:
    mutated = [(rule, mutation) for rule in RULES for mutation in mutations(rule)]
    tests = [RuleTest(mutation.rule, cases_of(rule)) for rule, mutation in mutated]
    survived = [
        f"{rule.record if isinstance(rule, RecordingRule) else rule.name}: {mutation.change}"
        for (rule, mutation), failure in zip(mutated, run_tests(tests, tmp_path), strict=True)
        if failure is None
    ]
    assert len(mutated) > 5 * len(RULES)
    assert survived == []


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_has_a_runbook_with_commands(name: str) -> None:
    text = (HERE.parent / runbook(name)).read_text()
    assert text.startswith(f"# {name}\n")
    for heading in ("## What it means", "## Diagnose", "## Fix", "## Verify"):
        assert heading in text
    commands = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert len(commands) >= 2, "expected commands to diagnose and to fix it"
    assert all(command.strip() for command in commands)


def test_every_runbook_belongs_to_an_alert() -> None:
    documented = {path.stem for path in RUNBOOKS.glob("[A-Z]*.md") if path.stem != "README"}
    assert documented == set(NAMES)


def test_inhibitions_name_existing_alerts() -> None:
    for inhibition in INHIBITIONS:
        for matcher in (*inhibition.source.split(","), *inhibition.target.split(",")):
            label, value = re.fullmatch(r'(\w+)(?:=~|!=|=)"(.*)"', matcher).groups()  # type: ignore[union-attr]
            if label == "alertname":
                for name in value.split("|"):
                    assert any(re.fullmatch(name, known) for known in NAMES), name
