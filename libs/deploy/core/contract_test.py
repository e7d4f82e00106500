"""What is wrong with a replica for good, and what may change while it starts."""

from __future__ import annotations

import pytest

from deploy.core.commands.sockets import Listener
from deploy.core.contract import CERTAIN_AFTER_S, Certainty, wrong_answer, wrong_port, wrong_version
from deploy.core.ports import Answer


def test_it_is_certain_once_the_same_is_wrong_for_long_enough() -> None:
    certainty = Certainty()
    assert not certainty.reached("a", 10.0)
    assert not certainty.reached("b", 14.0)
    assert not certainty.reached("b", 14.0 + CERTAIN_AFTER_S - 0.1)
    assert certainty.reached("b", 14.0 + CERTAIN_AFTER_S)
    assert not certainty.reached("", 30.0)
    assert not certainty.reached("b", 31.0)


@pytest.mark.parametrize("status", [0, 200, 204, 429, 500, 502, 503])
def test_answers_that_may_change_are_not_wrong(status: int) -> None:
    assert wrong_answer(Answer(status), "/readyz") == ""


def test_listeners_are_wrong_only_if_no_other_container_reaches_the_port() -> None:
    everywhere, metrics = Listener(8080, "::"), Listener(9100, "0.0.0.0")  # noqa: S104
    private = Listener(8080, "127.0.0.1")
    assert wrong_port([], 8080, 9100) == ""
    assert wrong_port([metrics], 8080, 9100) == ""
    assert wrong_port([everywhere, Listener(5000, "::")], 8080, 9100) == ""
    assert wrong_port([private, everywhere], 8080, 9100) == ""
    assert "listens on 127.0.0.1:8080 only" in wrong_port([private, metrics], 8080, 9100)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, b'{"release": "r000001-abc"}'), ""),
        (Answer(0), ""),
        (Answer(503), ""),
        (Answer(404), "answers 404 to GET /version"),
        (Answer(200, b"<html>"), "answers no JSON with its release to GET /version"),
        (Answer(200, b"[1]"), "answers no JSON with its release to GET /version"),
    ],
)
def test_version_is_wrong_only_if_it_will_never_name_a_release(answer: Answer, words: str) -> None:
    found = wrong_version(answer, "/version")
    assert (words in found) if words else not found
