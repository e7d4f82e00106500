"""Counting who answered."""

from __future__ import annotations

import json

import pytest

from deploy.core.ports import Answer
from deploy.core.state.release import make_release
from deploy.run.steps.verify import Roll
from deploy.testing import factories

RELEASE = make_release(
    factories.service(),
    factories.image("one"),
    1,
    factories.REPLICA,
    factories.ORIGIN,
    subnet="10.213.0.0/16",
)


def answer(number: int, *, release: str = RELEASE.id, hashed: str = RELEASE.config_hash) -> Answer:
    told = {"release": release, "config_hash": hashed, "replica": f"app-r000001-{number}"}
    return Answer(200, json.dumps(told).encode())


def test_a_roll_counts_each_replica() -> None:
    roll = Roll(RELEASE, 2, in_a_row=True)
    assert roll.take(answer(1))
    assert roll.take(answer(1))
    assert roll.take(answer(2))
    assert roll.missing == ["app-r000001-2", "app-r000001-3"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (answer(1, release="r000009-abc"), "HTTP 200, release r000009-abc"),
        (answer(1, hashed="sha256:other"), f"HTTP 200, release {RELEASE.id}"),
        (Answer(502), "HTTP 502, release unknown"),
        (Answer(200, b"<html>"), "HTTP 200, release unknown"),
        (Answer(200, b"[1]"), "HTTP 200, release unknown"),
        (Answer(0, b"connection refused"), "connection refused, release unknown"),
    ],
)
def test_a_roll_keeps_the_last_thing_wrong(wrong: Answer, told: str) -> None:
    roll = Roll(RELEASE, 1, in_a_row=True)
    assert not roll.take(wrong)
    assert roll.last == told
    assert len(roll.missing) == 3


def test_a_wrong_answer_undoes_all_of_a_row_and_nothing_else() -> None:
    row, others = (Roll(RELEASE, 2, in_a_row=each) for each in (True, False))
    for number in (1, 2, 3, 1, 2):
        assert row.take(answer(number))
        assert others.take(answer(number))
    assert not row.take(Answer(500))
    assert not others.take(Answer(500))
    row.take(answer(3))
    others.take(answer(3))
    assert len(row.missing) == 3
    assert others.missing == []
