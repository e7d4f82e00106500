"""Tests of showing control characters as text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.core.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc é 😀 \\x1b", "a\tb\nc é 😀 \\x1b"),
        ("\x1b]0;title\x07\x1b[2Jhidden", "\\x1b]0;title\\x07\\x1b[2Jhidden"),
        ("progress 1\rprogress 2", "progress 1\\x0dprogress 2"),
        ("from Windows\r\nnext", "from Windows\nnext"),
        ("\x9b31m \x7f\x00", "\\x9b31m \\x7f\\x00"),
        ("user\u202egnp.exe\u2066", "user\\u202egnp.exe\\u2066"),
        ("two\u2028lines", "two\\u2028lines"),
    ],
)
def test_control_characters_are_shown_as_text(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    left = [char for char in printable(text) if unicodedata.category(char) == "Cc"]
    assert set(left) <= {"\n", "\t"}
