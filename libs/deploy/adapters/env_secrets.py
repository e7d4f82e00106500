"""Reads secrets from the variables of this process, where CI puts them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from pathlib import Path

from deploy.core.state.secrets import (
    Found,
    Missing,
    Secret,
)


class VariableSecrets:
    """Secrets in variables, which it removes from the environment so that no child process inherits them.

    https://docs.gitlab.com/ci/variables/
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns the value of each variable, or why it is missing, and removes it from the environment."""
        return {key: _found(self._environ.pop(key, None)) for key in keys}


class FileSecrets:
    """Secrets in files that variables name, such as GitLab's variables of type file."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns the content of each variable's file, or why it is missing."""
        return {key: self._read(key) for key in keys}

    def _read(self, key: str) -> Found | Missing:
        path = self._environ.get(key)
        if not path:
            return Missing("is not set")
        try:
            return _found(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            return Missing(f"names a file that can't be read: {error.strerror}")
        except UnicodeDecodeError:
            return Missing("names a file that is not UTF-8 text")


def _found(value: str | None) -> Found | Missing:
    if value is None:
        return Missing("is not set")
    return Found(Secret(value)) if value else Missing("is empty")
