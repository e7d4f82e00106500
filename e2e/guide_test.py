"""Guides are read as files and commands."""

from __future__ import annotations

from e2e.guide import RunCommand, WriteFile, steps_of

GUIDE = """\
Text with `code`.

```sh
mkdir shop
./ship plan shop
```

**shop/web.py**

```python
import flask
```

An illustration:

```toml
name = "shop"
```
"""


def test_blocks_are_files_and_commands_in_their_order() -> None:
    assert list(steps_of(GUIDE)) == [
        RunCommand("mkdir shop"),
        RunCommand("./ship plan shop"),
        WriteFile("shop/web.py", "import flask\n"),
    ]
