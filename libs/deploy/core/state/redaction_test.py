"""Redaction of known values in every form, and of nothing else."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.core.state.redaction import (
    LONGEST,
    SHORTEST,
    Redaction,
    redacted_command,
)
from deploy.core.state.secrets import Secret

LONG = st.text(min_size=SHORTEST, max_size=40).filter(
    lambda value: len(value.strip()) >= SHORTEST and not set(value.strip()) <= {"*"}
)


def knowing(*values: str) -> Redaction:
    redaction = Redaction()
    for value in values:
        redaction.know(Secret(value))
    return redaction


@given(LONG, st.text(max_size=20), st.text(max_size=20))
def test_known_value_is_redacted_in_every_form(value: str, before: str, after: str) -> None:
    redact = knowing(value)
    for form in (value, json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value)):
        assert value not in redact(f"{before}{form}{after}").replace("***", "")
    assert redact(json.dumps({"why": f"x{value}y"})) == '{"why": "x***y"}'
    assert redact(quote(value, safe="")) == "***"
    assert base64.b64encode(value.encode()).decode().rstrip("=") not in redact(
        base64.b64encode(value.encode()).decode()
    )


def test_longer_of_two_values_is_redacted_first() -> None:
    assert knowing("a-password", "a-password-and-more")("a-password-and-more") == "***"


def test_each_line_of_a_value_is_redacted() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n"
    assert knowing(key)("found MIIEvQIBADANBg here") == "found *** here"


@pytest.mark.parametrize("value", ["", "1", "info", "seven.."])
def test_short_values_are_not_redacted(value: str) -> None:
    assert knowing(value)("level info 1 seven..") == "level info 1 seven.."


def test_redaction_without_values_changes_nothing() -> None:
    text = "some text"
    assert Redaction()(text) is text


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["cat", "/proc/loadavg"], "cat /proc/loadavg"),
        (["sh", "-c", "echo $A | wc"], "sh -c 'echo $A | wc'"),
        (["psql", "--password", "pw", "-l"], "psql --password '***' -l"),
        (["x", "--api-key=abc", "DB_PASSWORD=p q"], "x '--api-key=***' 'DB_PASSWORD=*** q'"),
        (["sh", "-c", "TOKEN='a b' run"], "sh -c 'TOKEN=*** run'"),
        (
            ["curl", "-H", "Authorization: Bearer abc.def", "u"],
            "curl -H 'Authorization: Bearer ***' u",
        ),
    ],
)
def test_values_of_secret_options_are_redacted(argv: list[str], expected: str) -> None:
    assert redacted_command(argv, str) == expected


@pytest.mark.parametrize("value", ["it's-a-secret", 'with "quotes" in', "long\nin two lines"])
def test_known_values_in_a_command_are_redacted_before_quoting(value: str) -> None:
    redact = knowing(value)
    argv = ["sh", "-c", f"login {value}", f"--x={value}", value]
    assert redacted_command(argv, redact) == "sh -c 'login ***' '--x=***' '***'"


def test_command_whose_secrets_are_unknown_is_reduced_to_its_name() -> None:
    assert (
        redacted_command(["mysql", "-phunter2"], str, whole=False)
        == "mysql (1 words more, not shown)"
    )


def test_long_command_is_cut_off_after_redaction() -> None:
    value = "a-secret-of-some-length"
    argv = ["x" * 600, "y" * (LONGEST - 601) + value, "z" * 5_000_000]
    text = redacted_command(argv, knowing(value))
    assert len(text) == LONGEST
    assert value[:4] not in text
