"""Redaction of known values in every form, and of nothing else."""

from __future__ import annotations

import base64
import json
import textwrap
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.core.state.redaction import Redaction, credentials_in
from deploy.core.state.secret_forms import SHORTEST
from deploy.core.state.secrets import Secret

LONG = st.text(st.characters(exclude_categories=["Cs"]), min_size=SHORTEST, max_size=40).filter(
    lambda value: len(value.strip()) >= SHORTEST and not set(value.strip()) <= {"*"}
)
TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=20)
AROUND = st.binary(max_size=80)
WINDOW = 8
without_deadline = settings(deadline=None)


def knowing(*values: str) -> Redaction:
    redaction = Redaction()
    for value in values:
        redaction.know(Secret(value))
    return redaction


def shows(text: str, form: str) -> bool:
    """Returns whether eight characters of the form in a row are in the text."""
    return any(form[at : at + WINDOW] in text for at in range(len(form) - WINDOW + 1))


@without_deadline
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


@without_deadline
@given(TOKEN, AROUND, AROUND)
def test_value_within_encoded_bytes_is_redacted_at_every_offset(
    value: str, before: bytes, after: bytes
) -> None:
    document = before + value.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        bits = len(before) * 8
        encoded = encode(document).decode()
        own = encoded[-(-bits // 6) : (bits + len(value) * 8) // 6]
        assert not shows(knowing(value)(encoded), own)
    for encoded in (document.hex(), document.hex().upper(), document.hex(" "), document.hex(":")):
        assert value.encode().hex() not in knowing(value)(encoded).lower().translate(
            {ord(" "): None, ord(":"): None}
        )


@without_deadline
@given(TOKEN, AROUND, st.integers(10, 76), st.sampled_from(["", "  ", "\t", "h-1 a-r1-1 | "]))
def test_value_is_redacted_where_lines_are_wrapped(
    value: str, before: bytes, width: int, indent: str
) -> None:
    encoded = base64.b64encode(before + value.encode()).decode()
    for text in (encoded, f"{'x' * len(before)}{value}"):
        wrapped = f"\n{indent}".join(textwrap.wrap(text, width, break_on_hyphens=False))
        bits = len(before) * 8
        own = value if text.endswith(value) else text[-(-bits // 6) : (bits + len(value) * 8) // 6]
        for shown in (wrapped, wrapped.replace("\n", "\r\n"), json.dumps(wrapped)):
            plain = knowing(value)(shown).replace("\\n", "\n").replace("\\t", "\t")
            plain = plain.replace(indent, "") if indent else plain
            assert not shows("".join(plain.split()), own), plain


@without_deadline
@given(LONG)
def test_value_is_redacted_in_json_within_json(value: str) -> None:
    inner = json.dumps({"password": value})
    outer = json.dumps({"log": json.dumps({"line": inner})})
    redacted = json.loads(knowing(value)(outer))
    assert json.loads(json.loads(redacted["log"])["line"]) == {"password": "***"}


@without_deadline
@given(TOKEN, st.text(max_size=30), st.text(max_size=30), st.data())
def test_text_that_arrives_in_pieces_is_redacted_like_the_whole(
    value: str, before: str, after: str, data: st.DataObject
) -> None:
    text, redact = f"{before}{value}{after}", knowing(value)
    shown, kept = "", ""
    while text:
        size = data.draw(st.integers(1, len(text)))
        done, kept = redact.split(kept + text[:size])
        shown, text = shown + done, text[size:]
    assert shown + redact(kept) == redact(f"{before}{value}{after}")


def test_end_of_a_text_is_kept_only_if_a_value_may_begin_there() -> None:
    redact = knowing("a-long-secret")
    assert redact.split("say a-lo") == ("say ", "a-lo")
    assert redact.split("say a-lo!") == ("say a-lo!", "")
    assert redact.split("say a", line=True) == ("say a", "")
    assert redact.split("a-long-secret!") == ("***!", "")
    assert redact.split("a-long-\n") == ("", "a-long-\n")
    assert Redaction().split("a-long-") == ("a-long-", "")


def test_longer_of_two_values_is_redacted_first() -> None:
    assert knowing("a-password", "a-password-and-more")("a-password-and-more") == "***"


def test_each_line_of_a_value_is_redacted() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n"
    assert knowing(key)("found MIIEvQIBADANBg here") == "found *** here"


@pytest.mark.parametrize("value", ["", "1", "info", "seven.."])
def test_short_values_are_not_redacted(value: str) -> None:
    assert knowing(value)("level info 1 seven..") == "level info 1 seven.."


@pytest.mark.parametrize("value", ["\n" * 8, "\\n" * 8, " \n" * 8, "ab\n\n\n\n\n\nc", " " * 9])
def test_value_of_line_breaks_redacts_nothing_else(value: str) -> None:
    assert knowing(value)("a text\nin lines\n abc") == "a text\nin lines\n abc"
    assert knowing(value)(f"a{' ' * 10}b") == f"a{' ' * 10}b"
    assert knowing(value).split("a text\nin lines\n abc!") == ("a text\nin lines\n abc!", "")


@without_deadline
@given(st.text(min_size=SHORTEST, max_size=20), st.text(max_size=100))
def test_any_value_and_any_text_come_to_an_end(value: str, text: str) -> None:
    redact = knowing(value)
    shown, kept = redact.split(redact(text))
    assert isinstance(shown + kept, str)


@pytest.mark.parametrize("text", ["\\" * 500_000, "\n" * 500_000, "\\n" * 200_000, "a" * 500_000])
def test_long_text_of_one_kind_takes_no_time_to_speak_of(text: str) -> None:
    redact = knowing("a-long-secret")
    assert redact(text) == text
    assert "".join(redact.split(text)) == text


def test_words_that_a_value_contains_are_not_redacted() -> None:
    redact = knowing("postgres://app:a-password@db.internal/production")
    text = "the password of db.internal/production, from postgres"
    assert redact(text) == text


def test_redaction_without_values_changes_nothing() -> None:
    text = "some text"
    assert Redaction()(text) is text


def test_variables_that_are_credentials_by_name_are_found() -> None:
    environ = {
        "CI_JOB_TOKEN": "glcbt-64-abcdef",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
        "DB_PASSWORD": "hunter2hunter2",
        "GITLAB_API_KEY": "0123456789",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "tokens/aws",
        "SHIP_METRICS_PASSWORD": "/builds/tmp/SHIP_METRICS_PASSWORD",
        "TOKEN_URL": "https://example.org",
        "HOME": "/home/ada",
        "LANG": "C.UTF-8",
    }
    found = [credential.reveal() for credential in credentials_in(environ)]
    assert found == ["glcbt-64-abcdef", "wJalrXUtnFEMI", "hunter2hunter2", "0123456789"]
