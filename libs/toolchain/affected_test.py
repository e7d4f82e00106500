"""Tests of how `ship test` reads the document of `ship affected`."""

import json

import pytest

from toolchain.affected import AffectedTargets, parse_affected
from toolchain.errors import ToolchainError


def test_targets_are_grouped_by_goal() -> None:
    targets = [
        {"address": "a:tests", "goal": "test", "why": []},
        {"address": "a:tests", "goal": "check", "why": []},
        {"address": "b:tests", "goal": "test", "why": []},
    ]
    text = json.dumps({"ok": True, "error": None, "reason": "why", "targets": targets})
    assert parse_affected(text, 0) == AffectedTargets(
        "why", {"test": ("a:tests", "b:tests"), "check": ("a:tests",)}
    )


def test_a_failure_keeps_its_message_hint_and_exit_code() -> None:
    error = {"type": "UsageError", "message": "no such revision", "hint": "git branch"}
    with pytest.raises(ToolchainError) as raised:
        parse_affected(json.dumps({"ok": False, "exit_code": 2, "error": error}), 2)
    assert (raised.value.exit_code, raised.value.next_command) == (2, "git branch")
    assert "no such revision" in str(raised.value)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"error": null}'])
def test_a_missing_selection_is_an_error_instead_of_nothing_to_test(text: str) -> None:
    with pytest.raises(ToolchainError, match="printed no selection"):
        parse_affected(text, 0)
