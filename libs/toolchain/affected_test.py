"""Tests of what `ship test` makes of the answer of `ship affected`."""

import json

import pytest

from toolchain.affected import Reached, read
from toolchain.errors import ToolchainError


def test_targets_are_taken_by_goal() -> None:
    targets = [
        {"address": "a:tests", "goal": "test", "why": []},
        {"address": "a:tests", "goal": "check", "why": []},
        {"address": "b:tests", "goal": "test", "why": []},
    ]
    printed = json.dumps({"ok": True, "error": None, "reason": "why", "targets": targets})
    assert read(printed, 0) == Reached(
        "why", {"test": ("a:tests", "b:tests"), "check": ("a:tests",)}
    )


def test_a_failure_is_told_with_its_hint_and_its_code() -> None:
    said = {"type": "UsageError", "message": "no such revision", "hint": "git branch"}
    with pytest.raises(ToolchainError) as raised:
        read(json.dumps({"ok": False, "exit_code": 2, "error": said}), 2)
    assert (raised.value.exit_code, raised.value.next_command) == (2, "git branch")
    assert "no such revision" in str(raised.value)


@pytest.mark.parametrize("printed", ["", "{}", "[]", '{"error": null}'])
def test_no_answer_is_never_taken_for_nothing_to_test(printed: str) -> None:
    with pytest.raises(ToolchainError, match="no answer"):
        read(printed, 0)
