"""The folders that set-up uses: the checkout, the cache of tools and the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = "py-cicd"


@dataclass(frozen=True)
class Paths:
    """The folders of this clone and this user, all absolute; `checkout` is the root of the clone.

    `preinstalled` holds the tools of a job image, if this is one. It is only read.
    """

    checkout: Path
    cache: Path
    state: Path
    preinstalled: Path | None = None

    @property
    def caches(self) -> tuple[Path, ...]:
        """The folders that may hold a tool: the user's cache, then the preinstalled one."""
        return (self.cache, self.preinstalled) if self.preinstalled else (self.cache,)

    @property
    def bytecode(self) -> Path:
        """The folder of the byte code that `./ship` writes."""
        return self.cache / "bytecode"

    @property
    def kept_results(self) -> Path:
        """The folder of the green results that `ship test` keeps."""
        return self.cache / "kept-results"

    @property
    def locks(self) -> Path:
        """The folder of the Python requirements and their hash-pinned locks."""
        return self.checkout / "3rdparty" / "python"


def find_paths(environ: Mapping[str, str]) -> Paths:
    """Returns the folders. Relative values of XDG variables are ignored, as the XDG specification requires."""
    home = Path(environ.get("HOME") or Path.home())
    return Paths(
        checkout=Path(__file__).resolve().parents[2],
        cache=_xdg(environ, "XDG_CACHE_HOME", home / ".cache") / PROJECT,
        state=_xdg(environ, "XDG_STATE_HOME", home / ".local" / "state") / PROJECT,
        preinstalled=Path(environ["SHIP_TOOLS"]) if environ.get("SHIP_TOOLS") else None,
    )


def _xdg(environ: Mapping[str, str], name: str, default: Path) -> Path:
    value = Path(environ.get(name, ""))
    return value if value.is_absolute() else default
