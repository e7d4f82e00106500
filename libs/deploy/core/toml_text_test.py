"""Tests of parsing TOML: what is refused before the parser sees it."""

from __future__ import annotations

import tomllib
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.core.toml_text import MAX_BYTES, TomlError, parse_toml

MOST_MEMORY = 64 * 2**20

HUGE = {
    "dotted key": (".".join("a" * 8000) + "=1", "line 1: a dotted key of more than 16 parts"),
    "header": ("\n[" + ".".join("a" * 8000) + "]", "line 2: a dotted key of more than 16 parts"),
    "quoted parts": ("'a b'." * 50 + "a=1", "line 1: a dotted key of more than 16 parts"),
    "brackets": ("a=" + "[" * 5000, "line 1: more than 16 brackets inside each other"),
    "braces": ("x=1\na=" + "{a=" * 5000, "line 2: more than 16 brackets inside each other"),
    "integer": (
        f"a='''\n'''\nb={'9' * 5000}",
        "line 3: a number or key of 5000 characters; at most 256 are read",
    ),
    "file": ("#" * (MAX_BYTES + 1), "is larger than 64 KB"),
}


@pytest.mark.parametrize(("text", "problem"), HUGE.values(), ids=HUGE)
def test_text_that_exhausts_the_parser_is_refused(text: str, problem: str) -> None:
    with pytest.raises(TomlError) as caught:
        parse_toml(text.encode())
    assert str(caught.value) == problem


LARGEST = {
    "headers": "".join(f"[k{i}{'.a' * 15}]\n" for i in range(1600)),
    "keys": "[a.b.c]\n" + "".join(f"k{i}{'.a' * 15}=1\n" for i in range(1600)),
    "inline tables": f"a=[{','.join(['{' + 'a.' * 15 + 'a=1}'] * 1700)}]",
    "arrays": f"a=[{'[],' * 20000}]",
    "tables": "".join("[[a]]\nb.c=1\n" for _ in range(4000)),
    "an unfinished text": 'a="""' + '\\"' * 30000,
    "quotes": '"' * 60000,
}


@pytest.mark.parametrize("text", LARGEST.values(), ids=LARGEST)
def test_text_within_the_limits_takes_little_memory(text: str) -> None:
    tracemalloc.start()
    try:
        with suppress(TomlError):
            parse_toml(text.encode())
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST_MEMORY


@pytest.mark.parametrize(
    "value",
    [
        '"' + "." * 100 + '"',
        "'" + "[" * 100 + "'",
        '"""\n' + "[." * 100 + '\\""" ""\n"""',
        "'''\n" + "{." * 100 + "'''",
        '"a" # ' + "[." * 100,
        '"' + "9" * 1000 + '"',
        f"[{'[1.5, 2.5],' * 100}]",
    ],
)
def test_texts_and_comments_may_contain_anything(value: str) -> None:
    text = f"a = {value}\nb = 1.5\n"
    assert parse_toml(text.encode()) == tomllib.loads(text)


@given(st.binary(max_size=200) | st.text("ab.[]{}=\"'#\\\n 1", max_size=200).map(str.encode))
def test_any_bytes_are_a_document_or_a_typed_error(source: bytes) -> None:
    with suppress(TomlError):
        parse_toml(source)
