"""Where things lie: the checkout, the cache of tools, the state; it never makes or changes any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = "py-cicd"


@dataclass(frozen=True)
class Places:
    """The three folders, all absolute; `checkout` is the root of this clone.

    `brought` holds tools that the image of a job came with: read where it has one, and never written.
    """

    checkout: Path
    cache: Path
    state: Path
    brought: Path | None = None

    @property
    def caches(self) -> tuple[Path, ...]:
        """Where tools lie: those that this machine made, then those that were brought."""
        return (self.cache, self.brought) if self.brought else (self.cache,)

    @property
    def locks(self) -> Path:
        """The folder of the requirements and their hash-pinned locks."""
        return self.checkout / "3rdparty" / "python"


def find_places(environ: Mapping[str, str]) -> Places:
    """Read SHIP_TOOLS and the XDG variables; a relative value is ignored, as the XDG specification asks."""
    home = Path(environ.get("HOME") or Path.home())
    return Places(
        checkout=Path(__file__).resolve().parents[2],
        cache=_xdg(environ, "XDG_CACHE_HOME", home / ".cache") / PROJECT,
        state=_xdg(environ, "XDG_STATE_HOME", home / ".local" / "state") / PROJECT,
        brought=Path(environ["SHIP_TOOLS"]) if environ.get("SHIP_TOOLS") else None,
    )


def _xdg(environ: Mapping[str, str], name: str, default: Path) -> Path:
    value = Path(environ.get(name, ""))
    return value if value.is_absolute() else default
