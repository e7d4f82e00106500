"""Hashed asset names, also across two releases."""

import re

from app.assets import Assets

SOURCES = {
    "main.js": b'import { a } from "./part.js";\n',
    "part.js": b"export const a = 1;\n",
    "style.css": b"p { margin: 0 }\n",
}


def test_an_assets_url_changes_with_its_content() -> None:
    before = Assets(SOURCES)
    after = Assets({**SOURCES, "style.css": b"p { margin: 1px }\n"})
    assert re.fullmatch(r"/static/style\.[0-9a-f]{12}\.css", before.url("style.css"))
    assert before.url("style.css") != after.url("style.css")
    assert before.url("main.js") == after.url("main.js")


def test_a_scripts_url_changes_with_the_modules_it_imports() -> None:
    before = Assets(SOURCES)
    after = Assets({**SOURCES, "part.js": b"export const a = 2;\n"})
    assert before.url("main.js") != after.url("main.js")
    part = after.get("part.js").hashed_name
    assert f'from "./{part}"'.encode() in after.get("main.js").content


def test_a_hash_of_another_release_finds_this_releases_content() -> None:
    assets = Assets(SOURCES)
    found = assets.find("style.000000000000.css")
    assert found is not None
    assert found == (assets.get("style.css"), False)
    assert assets.find(assets.get("style.css").hashed_name) == (assets.get("style.css"), True)
    assert assets.find("style.css") is None
    assert assets.find("../web.py") is None
    assert assets.find("other.000000000000.css") is None
