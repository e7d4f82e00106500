"""Redaction: what is known never leaves, in whatever shape; all else is left alone."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.core.redaction import SHORTEST, Redaction
from deploy.core.secret import Secret

LONG = st.text(min_size=SHORTEST, max_size=40).filter(
    lambda value: len(value.strip()) >= SHORTEST and not set(value.strip()) <= {"*"}
)


def knowing(*values: str) -> Redaction:
    redaction = Redaction()
    for value in values:
        redaction.know(Secret(value))
    return redaction


@given(LONG, st.text(max_size=20), st.text(max_size=20))
def test_a_known_value_never_leaves(value: str, before: str, after: str) -> None:
    redact = knowing(value)
    for shape in (value, json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value)):
        assert value not in redact(f"{before}{shape}{after}").replace("***", "")
    assert redact(json.dumps({"why": f"x{value}y"})) == '{"why": "x***y"}'
    assert redact(quote(value, safe="")) == "***"
    assert base64.b64encode(value.encode()).decode().rstrip("=") not in redact(
        base64.b64encode(value.encode()).decode()
    )


def test_the_longer_of_two_values_goes_first() -> None:
    assert knowing("a-password", "a-password-and-more")("a-password-and-more") == "***"


def test_each_line_of_a_value_is_known_by_itself() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n"
    assert knowing(key)("it says MIIEvQIBADANBg here") == "it says *** here"


@pytest.mark.parametrize("value", ["", "1", "info", "seven.."])
def test_what_is_too_short_to_be_told_apart_is_left(value: str) -> None:
    assert knowing(value)("level info 1 seven..") == "level info 1 seven.."


def test_who_knows_nothing_changes_nothing() -> None:
    text = "some text"
    assert Redaction()(text) is text
