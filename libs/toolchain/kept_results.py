"""Keeps the green results of integration tests on a person's machine, so that `ship test` can reuse them.

A kept result says that a test file passed with certain inputs. Its key is the hash of these inputs. It is stored in the
cache of tools, not in Pants' caches, which a team may share.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

KEPT_DAYS = 14  # tests also depend on the outside world, such as package mirrors


@dataclass(frozen=True)
class KeptResult:
    """A test file that passed: its address, the key of its inputs, how many cases passed, and when in Unix time."""

    address: str
    key: str
    passed: int
    at: float

    @property
    def date(self) -> str:
        """The local date and time of the run."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.at))


@dataclass(frozen=True)
class KeptResults:
    """A folder with one file for each result. A file that is broken, too old or another test's counts as missing."""

    folder: Path
    clock: Callable[[], float] = time.time

    def find(self, address: str, key: str) -> KeptResult | None:
        """Returns the result of a test with these inputs."""
        try:
            result = KeptResult(**json.loads(self._file(address, key).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        known = (result.address, result.key) == (address, key)
        return result if known and not self._is_old(result.at) else None

    def keep(self, address: str, key: str, passed: int) -> None:
        """Stores a result, in place of an earlier one with the same key."""
        result = KeptResult(address, key, passed, self.clock())
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._file(address, key)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(asdict(result)) + "\n")
        temporary.replace(file)

    def delete(self, address: str, key: str) -> None:
        """Deletes a result, if there is one."""
        self._file(address, key).unlink(missing_ok=True)

    def delete_old(self) -> None:
        """Deletes the files that are older than KEPT_DAYS."""
        for file in self._files():
            with suppress(OSError):
                if self._is_old(file.stat().st_mtime):
                    file.unlink()

    def _is_old(self, at: float) -> bool:
        return self.clock() - at > KEPT_DAYS * 24 * 3600

    def _files(self) -> Iterator[Path]:
        return self.folder.glob("*.json")

    def _file(self, address: str, key: str) -> Path:
        name = address.replace("/", ".").replace(":", "@")
        return self.folder / f"{name}-{key[:32]}.json"
