"""Names with hashes, and what happens when two releases meet."""

import re

from app.assets import Assets

SOURCES = {
    "main.js": b'import { a } from "./part.js";\n',
    "part.js": b"export const a = 1;\n",
    "look.css": b"p { margin: 0 }\n",
}


def test_a_name_holds_its_contents_hash() -> None:
    before = Assets(SOURCES)
    after = Assets({**SOURCES, "look.css": b"p { margin: 1px }\n"})
    assert re.fullmatch(r"/static/look\.[0-9a-f]{12}\.css", before.url("look.css"))
    assert before.url("look.css") != after.url("look.css")
    assert before.url("main.js") == after.url("main.js")


def test_a_script_is_renamed_when_what_it_imports_changes() -> None:
    before = Assets(SOURCES)
    after = Assets({**SOURCES, "part.js": b"export const a = 2;\n"})
    assert before.url("main.js") != after.url("main.js")
    part = after.named("part.js").hashed_name
    assert f'from "./{part}"'.encode() in after.named("main.js").content


def test_a_name_of_another_release_gets_this_ones_content() -> None:
    assets = Assets(SOURCES)
    found = assets.find("look.000000000000.css")
    assert found is not None
    assert found == (assets.named("look.css"), False)
    assert assets.find(assets.named("look.css").hashed_name) == (assets.named("look.css"), True)
    assert assets.find("look.css") is None
    assert assets.find("../web.py") is None
    assert assets.find("other.000000000000.css") is None
