from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.adapters.image_record import ImageRecord
from deploy.errors import EngineError

EDGE, APP = "py-cicd/base-edge:1", "py-cicd/app:2"


@pytest.fixture
def record(tmp_path: Path) -> ImageRecord:
    return ImageRecord(tmp_path / "state" / "images.json")


def refusing(*references: str) -> Callable[[str], None]:
    def untag(reference: str) -> None:
        if reference in references:
            raise EngineError(f"{reference} is used by a container")

    return untag


def test_ship_down_removes_only_names_that_its_sandbox_made_and_no_other_uses(
    record: ImageRecord,
) -> None:
    blue, red = record.of("blue"), record.of("red")
    blue.used("py-cicd/base-host:0")  # there before
    for reference in (EDGE, APP, "py-cicd/app:untried-1"):
        blue.made(reference)
    blue.removed("py-cicd/app:untried-1")
    red.used(EDGE)
    assert record.release("blue", ["red"], refusing()) == ([APP], {})
    assert record.release("red", [], refusing()) == ([EDGE], {})


def test_a_name_that_the_engine_keeps_is_removed_the_next_time(record: ImageRecord) -> None:
    record.of("blue").made(EDGE)
    gone, kept = record.release("blue", [], refusing(EDGE))
    assert (gone, kept) == ([], {EDGE: f"{EDGE} is used by a container"})
    assert record.release("red", [], refusing()) == ([EDGE], {})
    assert record.release("red", [], refusing()) == ([], {})
