"""Secrets in this process's environment, as CI gives them; it takes them out, so that no child process inherits one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from pathlib import Path

from deploy.core.state.secrets import (
    Found,
    Missing,
    Secret,
)


class VariableSecrets:
    """Values of variables. https://docs.gitlab.com/ci/variables/"""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns what each variable held, and takes it out of the environment."""
        return {key: _found(self._environ.pop(key, None), "is not set") for key in keys}


class FileSecrets:
    """Contents of the files that variables name, as GitLab gives variables of type file."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns what is in each variable's file."""
        return {key: self._read(key) for key in keys}

    def _read(self, key: str) -> Found | Missing:
        path = self._environ.get(key)
        if not path:
            return Missing("is not set")
        try:
            return _found(Path(path).read_text(encoding="utf-8"), "is empty")
        except OSError as error:
            return Missing(f"names a file that can't be read: {error.strerror}")
        except UnicodeDecodeError:
            return Missing("names a file that is no UTF-8 text")


def _found(value: str | None, otherwise: str) -> Found | Missing:
    if value is None:
        return Missing(otherwise)
    return Found(Secret(value)) if value else Missing("is empty")
