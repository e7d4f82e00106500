"""Counting the answers of each replica."""

from __future__ import annotations

import json

import pytest

from deploy.core.ports import Answer
from deploy.core.state.release import make_release
from deploy.run.steps.verify import ReplicaAnswers
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
    version = {"release": release, "config_hash": hashed, "replica": f"app-r000001-{number}"}
    return Answer(200, json.dumps(version).encode())


def test_answers_are_counted_by_replica() -> None:
    answers = ReplicaAnswers(RELEASE, 2, in_a_row=True)
    assert answers.add(answer(1))
    assert answers.add(answer(1))
    assert answers.add(answer(2))
    assert answers.missing == ["app-r000001-2", "app-r000001-3"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (answer(1, release="r000009-abc"), "HTTP 200, release r000009-abc"),
        (answer(1, hashed="sha256:other"), f"HTTP 200, release {RELEASE.id}"),
        (Answer(502), "HTTP 502, release unknown"),
        (Answer(200, b"<html>"), "HTTP 200, release unknown"),
        (Answer(200, b"[1]"), "HTTP 200, release unknown"),
        (Answer(0, b"connection refused"), "connection refused, release unknown"),
    ],
)
def test_the_last_wrong_answer_is_reported(wrong: Answer, reason: str) -> None:
    answers = ReplicaAnswers(RELEASE, 1, in_a_row=True)
    assert not answers.add(wrong)
    assert answers.last == reason
    assert len(answers.missing) == 3


def test_a_wrong_answer_resets_counts_only_if_answers_must_come_in_a_row() -> None:
    row, others = (ReplicaAnswers(RELEASE, 2, in_a_row=value) for value in (True, False))
    for number in (1, 2, 3, 1, 2):
        assert row.add(answer(number))
        assert others.add(answer(number))
    assert not row.add(Answer(500))
    assert not others.add(Answer(500))
    row.add(answer(3))
    others.add(answer(3))
    assert len(row.missing) == 3
    assert others.missing == []
