from __future__ import annotations

import pytest

from deploy.core.ci.graph_inputs import (
    Influence,
    graph_key,
    imports_of,
    infers_from_strings,
    influence_of,
)

CODE = "import os\nfrom a.b import (\n    c,\n)\n\ndef run():\n    return os.name\n"


@pytest.mark.parametrize(
    ("path", "influence"),
    [
        ("libs/deploy/errors.py", Influence.IMPORTS),
        ("libs/deploy/__init__.py", Influence.CONTENT),
        ("pants-plugins/linters/rules.py", Influence.CONTENT),
        ("libs/deploy/BUILD", Influence.CONTENT),
        ("pants.toml", Influence.CONTENT),
        ("3rdparty/python/requirements.txt", Influence.CONTENT),
        ("3rdparty/python/default.lock", Influence.CONTENT),
        ("services/app/Dockerfile", Influence.CONTENT),
        ("unknown.suffix", Influence.CONTENT),
        ("docs/gate.md", Influence.NAME),
        ("services/app/templates/base.html", Influence.NAME),
    ],
)
def test_what_counts_of_a_file_depends_on_its_kind(path: str, influence: Influence) -> None:
    assert influence_of(path, ["pants-plugins/**"]) is influence


@pytest.mark.parametrize(
    "changed",
    [
        CODE.replace("os.name", "os.sep"),
        CODE + "\n# a comment\n",
        '"""A docstring."""\n' + CODE,
        CODE.replace("def run", "def other"),
    ],
)
def test_a_change_without_imports_leaves_the_imports_equal(changed: str) -> None:
    assert imports_of(changed) == imports_of(CODE)


@pytest.mark.parametrize(
    "changed",
    [
        CODE.replace("import os", "import os, json"),
        CODE.replace("    c,", "    c,\n    d,"),
        CODE.replace("import os", "import os  # pants: no-infer-dep"),
        CODE.replace("    return", "    import json\n    return"),
        CODE.replace("import os\n", "try:\n    import os\nexcept ImportError:\n    pass\n"),
        CODE.replace("import os\n", "with suppress(ImportError):\n    import os\n"),
        CODE + "x = __import__('json')\n",
        CODE + "# pants: infer-dep(json)\n",
        CODE + "def torn(:\n",
    ],
)
def test_a_change_of_imports_changes_them(changed: str) -> None:
    assert imports_of(changed) != imports_of(CODE)


def test_what_an_import_is_tried_for_counts() -> None:
    text = "try:\n    import a\nexcept {}:\n    import b\n"
    assert imports_of(text.format("ImportError")) != imports_of(text.format("OSError"))


def test_code_that_cannot_be_parsed_counts_whole() -> None:
    assert imports_of("def torn(:\n    1") != imports_of("def torn(:\n    2")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"python-infer": {"use_rust_parser": True, "string_imports": False}}, False),
        ({"python-infer": {"string_imports": True}}, True),
        ({"python-infer": {"assets": True}}, True),
    ],
)
def test_inference_from_strings_is_seen(settings: dict[str, object], expected: bool) -> None:
    assert infers_from_strings(settings) is expected


def test_the_key_depends_on_settings_names_and_what_counts() -> None:
    keys = {
        graph_key("", [("a", "1"), ("b", "2")]),
        graph_key("s", [("a", "1"), ("b", "2")]),
        graph_key("", [("a", "1"), ("c", "2")]),
        graph_key("", [("a", "2"), ("b", "1")]),
        graph_key("", [("a", "1")]),
    }
    assert len(keys) == 5
    assert graph_key("", [("b", "2"), ("a", "1")]) in keys
