"""Tests of JSON that is YAML."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.core.yaml_text import write_yaml

PRINTABLE = re.compile(r"[\n -~\U00010000-\U0010ffff]*")
"""The part of YAML's `c-printable` that no YAML version reads otherwise."""


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_is_written_with_characters_that_yaml_allows_and_read_back(text: str) -> None:
    written = write_yaml({text: [text, 1.5, None, True]})
    assert PRINTABLE.fullmatch(written)
    assert not re.search(r"(?<!\\)(\\\\)*\\u[dD][89a-fA-F]", written), "YAML has no surrogates"
    assert json.loads(written) == {text: [text, 1.5, None, True]}


@pytest.mark.parametrize("text", ["\0", "a\\\0", "a\\\\\0b"])
def test_nul_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="contains NUL"):
        write_yaml({"a": text})


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "\\0"])
def test_backslashes_that_look_like_nul_are_text(text: str) -> None:
    assert json.loads(write_yaml({"a": text})) == {"a": text}
