"""Reads text files of the checkout and the environment."""

from __future__ import annotations

from pathlib import Path

from deploy.errors import ConfigError


def read_text(path: Path, *, hint: str = "restore the file, then run this again") -> str:
    """Returns the text of a file. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"can't read {path}: {reason}; nothing was changed", hint=hint) from error


def read_package(folder: Path) -> dict[str, str]:
    """Returns the texts of a package's modules by file name, without tests and their fixtures. Raises ConfigError."""
    modules = (
        file
        for file in sorted(folder.glob("*.py"))
        if not file.stem.endswith(("_test", "_fixture"))
    )
    return {file.name: read_text(file) for file in modules}
