from datetime import date

import pytest

from deploy.core.images.recipes import (
    Owned,
    OwnFile,
    expand,
    key_of,
    matcher,
    parse_recipe,
)
from deploy.errors import ConfigError

VALUES = {"suite": "trixie", "date": date(2026, 11, 22), "packages": ["base-files"]}


def test_key_changes_with_the_recipes_content() -> None:
    file = OwnFile("etc/passwd", b"root", False)
    key = key_of(b"suite", (file,))
    assert len(key) == 12
    assert key == key_of(b"suite", (file,))
    others = [
        key_of(b"other", (file,)),
        key_of(b"suite", ()),
        key_of(b"suite", (OwnFile("etc/passwd", b"root", True),)),
        key_of(b"suite", (OwnFile("etc/group", b"root", False),)),
        key_of(b"suite", (OwnFile("etc/passwd", b"toor", False),)),
    ]
    assert len({key, *others}) == 6


def test_key_does_not_depend_on_the_order_of_files() -> None:
    one, two = OwnFile("a", b"1", False), OwnFile("b", b"2", False)
    assert key_of(b"", (one, two)) == key_of(b"", (two, one))


def test_recipe_is_parsed_from_its_values() -> None:
    values = {**VALUES, "folders": {"srv": "0755 10001:10001"}}
    recipe = parse_recipe("python", b"", values, ())
    assert recipe.folders["srv"] == Owned(0o755, 10001, 10001)
    assert recipe.image == f"py-cicd/base-python:{recipe.key}"
    assert recipe.epoch == 1795305600


def test_a_compiler_is_unpacked_for_programs_and_left_out_of_the_image() -> None:
    values = {**VALUES, "without": ["mawk"]}
    plain = parse_recipe("edge", b"", values, ())
    assert (plain.unpacked, plain.left_out) == (("base-files",), ("mawk",))
    recipe = parse_recipe("python", b"", values, (), {"usr/bin/check": b"void start() {}"})
    assert (recipe.unpacked, recipe.left_out) == (("base-files", "tcc"), ("mawk", "tcc"))


def test_a_sourceless_folder_has_no_sources_and_no_other_byte_code() -> None:
    recipe = parse_recipe("python", b"", {**VALUES, "sourceless": ["/usr/lib/py"]}, ())
    dropped = matcher(recipe.dropped)
    for path in ("usr/lib/py/os.py", "usr/lib/py/a/b.py", "usr/lib/py/a/__pycache__/b.pyc"):
        assert dropped.fullmatch(path), path
    for path in (
        "usr/lib/py/os.pyc",
        "usr/lib/py/a/b.pyc",
        "usr/lib/py/a/data.txt",
        "usr/lib/p.py",
    ):
        assert not dropped.fullmatch(path), path


def test_a_programs_source_is_part_of_the_key() -> None:
    keys = {
        parse_recipe("python", b"", VALUES, (), programs).key
        for programs in ({}, {"usr/bin/check": b"1"}, {"usr/bin/check": b"2"})
    }
    assert len(keys) == 3


def test_unknown_and_missing_keys_are_reported_together() -> None:
    with pytest.raises(ConfigError) as raised:
        parse_recipe("edge", b"", {"suite": "forky", "packges": []}, ())
    assert raised.value.problems == ("packges: unknown key", "date: missing", "packages: missing")


def test_braces_are_expanded() -> None:
    assert expand("a/{b,c}/{d,e}") == ["a/b/d", "a/b/e", "a/c/d", "a/c/e"]
    assert expand("a/*.py") == ["a/*.py"]


@pytest.mark.parametrize(
    ("path", "matches"),
    [
        ("usr/share/doc", True),
        ("usr/share/doc/bash/copyright", True),
        ("usr/share/docs", False),
        ("usr/lib/x/tests", True),
        ("usr/lib/x/y/tests/deep.py", True),
        ("usr/lib/tests.py", False),
        ("dev/null", True),
        ("dev", False),
    ],
)
def test_pattern_matches_what_it_names_and_everything_below(path: str, matches: bool) -> None:
    pattern = matcher(("usr/share/doc", "usr/lib/**/tests", "dev/*"))
    assert bool(pattern.fullmatch(path)) is matches


def test_empty_pattern_list_matches_nothing() -> None:
    assert matcher(()).fullmatch("usr") is None
