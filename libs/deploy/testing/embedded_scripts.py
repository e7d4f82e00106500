"""Writes the shell scripts that are embedded in Python modules to files, so that ShellCheck can check them.

`./pants lint` runs it (pants-plugins/scripts): `python -m deploy.testing.embedded_scripts FOLDER MODULE_FILE...`.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.errors import ConfigError

SOURCE_ROOT = "libs"


def scripts_of(source: str, namespace: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (name, text) of each script in an argv of a module: what follows "sh" and "-c" in a list or tuple.

    The name is that of its constant, or its line. `namespace` has the values of the module's constants. Raises
    ConfigError for a script that is no constant.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.List | ast.Tuple):
            for shell, option, script in zip(node.elts, node.elts[1:], node.elts[2:], strict=False):
                if [_constant(shell), _constant(option)] == ["sh", "-c"]:
                    name = script.id if isinstance(script, ast.Name) else f"line-{script.lineno}"
                    yield name, _text(script, namespace)


def _constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _text(script: ast.expr, namespace: Mapping[str, Any]) -> str:
    match script:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name) if isinstance(namespace.get(name), str):
            return str(namespace[name])
        case _:
            raise ConfigError(
                f"line {script.lineno}: the script {ast.unparse(script)} is not a constant of the module",
                hint="assign it to a module-level constant, and pass values as arguments ($1, $2)",
            )


def write_scripts(folder: Path, files: list[Path]) -> None:
    """Writes each script of these modules to `MODULE.NAME.sh`. Raises ConfigError."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        parts = file.with_suffix("").relative_to(SOURCE_ROOT).parts
        name = ".".join(part for part in parts if part != "__init__")
        module = importlib.import_module(name)
        try:
            for script, text in scripts_of(file.read_text(encoding="utf-8"), vars(module)):
                (folder / f"{name}.{script}.sh").write_text(text, encoding="utf-8")
        except ConfigError as error:
            error.message = f"{file}: {error.message}"
            raise


def main() -> int:
    """Returns 0 if all scripts are written, else 1 with the reason on stderr."""
    folder, *files = map(Path, sys.argv[1:])
    try:
        write_scripts(folder, files)
    except ConfigError as error:
        print(f"{error.message}; {error.hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
