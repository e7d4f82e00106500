"""Rules as promtool sees them, the committed files, the runbooks, and a test of these tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from observability.__main__ import HERE, files
from observability.alertmanager_config import INHIBITIONS
from observability.mutations import mutants
from observability.promtool import Trial, failing, program
from observability.rule_cases import cases_of
from observability.rules import GROUPS, Recording, alerts, runbook

RULES = [rule for group in GROUPS for rule in group.rules]
RUNBOOKS = HERE.parent / "docs" / "runbooks"
NAMES = sorted({alert.name for alert in alerts()})


@pytest.mark.parametrize("name", sorted(files()))
def test_the_committed_file_is_what_the_code_makes(name: str) -> None:
    assert (HERE / name).read_text() == files()[name], "python3 -m observability writes it anew"


def test_promtool_and_amtool_take_the_files() -> None:
    for tool, *words, name in (
        ("promtool", "check", "rules", "--lint=all", "--lint-fatal", "prometheus/rules.yml"),
        ("amtool", "check-config", "alertmanager/alertmanager.yml"),
    ):
        done = subprocess.run(
            [program(tool), *words, str(HERE / name)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_says_what_its_cases_want(tmp_path: Path) -> None:
    trials = [Trial(rule, cases_of(rule)) for rule in RULES]
    wrong = [number for number, failed in enumerate(failing(trials, tmp_path)) if failed]
    assert not wrong, "\n".join((tmp_path / f"{number}.said").read_text() for number in wrong)


def test_a_mutant_of_any_rule_fails_a_case(tmp_path: Path) -> None:
    found = [(rule, mutant) for rule in RULES for mutant in mutants(rule)]
    trials = [Trial(mutant.rule, cases_of(rule)) for rule, mutant in found]
    survived = [
        f"{rule.record if isinstance(rule, Recording) else rule.name}: {mutant.change}"
        for (rule, mutant), failed in zip(found, failing(trials, tmp_path), strict=True)
        if not failed
    ]
    assert len(found) > 5 * len(RULES)
    assert survived == []


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_has_a_runbook_with_commands(name: str) -> None:
    text = (HERE.parent / runbook(name)).read_text()
    assert text.startswith(f"# {name}\n")
    for heading in ("## What it means", "## Look", "## Mend", "## Afterwards"):
        assert heading in text
    commands = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert len(commands) >= 2, "the commands to look and to mend"
    assert all(command.strip() for command in commands)


def test_no_runbook_is_of_an_alert_that_is_gone() -> None:
    listed = {path.stem for path in RUNBOOKS.glob("[A-Z]*.md") if path.stem != "README"}
    assert listed == set(NAMES)


def test_inhibitions_name_alerts_that_are() -> None:
    for each in INHIBITIONS:
        for matcher in (*each.source.split(","), *each.target.split(",")):
            label, value = re.fullmatch(r'(\w+)(?:=~|!=|=)"(.*)"', matcher).groups()  # type: ignore[union-attr]
            if label == "alertname":
                for name in value.split("|"):
                    assert any(re.fullmatch(name, known) for known in NAMES), name
