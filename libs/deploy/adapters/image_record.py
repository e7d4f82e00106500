"""Keeps, in a file, the names of images that sandboxes made or use in this machine's engine."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.core.images.image_record import (
    ImageName,
    ImageNames,
    released,
    removable,
    with_user,
    without,
)
from deploy.errors import EngineError


class ImageRecord:
    """The record of all sandboxes of this user. Several processes may use it at once."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def of(self, sandbox: str) -> SandboxImages:
        """Returns what records the names of one sandbox."""
        return SandboxImages(self, sandbox)

    def change(self, change: Callable[[ImageNames], ImageNames]) -> ImageNames:
        """Applies a change and returns the names after it."""
        with self._locked():
            before = self._read()
            after = change(before)
            if after != before:
                self._write(after)
            return after

    def release(
        self, sandbox: str, sandboxes: Collection[str], untag: Callable[[str], None]
    ) -> tuple[list[str], dict[str, str]]:
        """Removes the names that no sandbox uses any more once `sandbox` is gone.

        Returns those that went, and the reason of each that the engine keeps. They are tried again the next time.
        """
        names = self.change(lambda names: released(names, sandbox, sandboxes))
        gone: list[str] = []
        kept: dict[str, str] = {}
        for reference in removable(names):
            try:
                untag(reference)
                gone.append(reference)
            except EngineError as error:
                kept[reference] = error.message
        self.change(lambda names: without(names, gone))
        return gone, kept

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> ImageNames:
        try:
            document = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {
            reference: ImageName(bool(each["made"]), frozenset(each["users"]))
            for reference, each in document.items()
        }

    def _write(self, names: ImageNames) -> None:
        document = {
            reference: {"made": name.made, "users": sorted(name.users)}
            for reference, name in sorted(names.items())
        }
        temporary = self._file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self._file)


class SandboxImages:
    """Records the names that are made and used for one sandbox."""

    def __init__(self, record: ImageRecord, sandbox: str) -> None:
        self._record = record
        self._sandbox = sandbox

    def made(self, reference: str) -> None:
        """A name was added to an image."""
        self._record.change(lambda names: with_user(names, reference, self._sandbox, made=True))

    def used(self, reference: str) -> None:
        """A name was found in the engine."""
        self._record.change(lambda names: with_user(names, reference, self._sandbox, made=False))

    def removed(self, reference: str) -> None:
        """A name was removed."""
        self._record.change(lambda names: without(names, [reference]))
