from pathlib import Path

import pytest

from e2e.early_up import EarlyUp
from toolchain.early_sandbox import CODE, FOLDER_VARIABLE, LOG, NAME


def test_only_ship_test_starts_a_sandbox_early(tmp_path: Path) -> None:
    assert EarlyUp.of({}) is None
    early = EarlyUp.of({FOLDER_VARIABLE: str(tmp_path)})
    assert early is not None
    (tmp_path / NAME).write_text("test-1")
    assert early.name == "test-1"


def test_a_sandbox_that_failed_fails_the_tests_with_its_last_lines(tmp_path: Path) -> None:
    early = EarlyUp(tmp_path)
    (tmp_path / LOG).write_text("error: no space left")
    with pytest.raises(AssertionError, match="still None"):
        early.wait(within_s=0.2)
    (tmp_path / CODE).write_text("1")
    with pytest.raises(AssertionError, match="exit 1\nerror: no space left"):
        early.wait()
    (tmp_path / CODE).write_text("0")
    early.wait()
