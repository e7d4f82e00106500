"""Reads text files of the checkout."""

from __future__ import annotations

from pathlib import Path

from deploy.errors import ConfigError


def read_text(path: Path, *, hint: str = "bring the file back, then run this again") -> str:
    """Reads a text file of the checkout or the environment. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"can't read {path}: {reason}; nothing was touched", hint=hint) from error


def read_package(folder: Path) -> dict[str, str]:
    """Reads a package's modules, without its tests, by file name. Raises ConfigError."""
    modules = (each for each in sorted(folder.glob("*.py")) if not each.stem.endswith("_test"))
    return {each.name: read_text(each) for each in modules}
