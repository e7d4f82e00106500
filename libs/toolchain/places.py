"""Where things lie: the checkout, the cache of tools, the state; it never makes or changes any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = "py-cicd"


@dataclass(frozen=True)
class Places:
    """The three folders, all absolute; `checkout` is the root of this clone."""

    checkout: Path
    cache: Path
    state: Path

    @property
    def locks(self) -> Path:
        """The folder of the requirements and their hash-pinned locks."""
        return self.checkout / "3rdparty" / "python"


def find_places(environ: Mapping[str, str]) -> Places:
    """Read the XDG variables; a relative value is ignored, as the XDG specification asks."""
    home = Path(environ.get("HOME") or Path.home())
    return Places(
        checkout=Path(__file__).resolve().parents[2],
        cache=_xdg(environ, "XDG_CACHE_HOME", home / ".cache") / PROJECT,
        state=_xdg(environ, "XDG_STATE_HOME", home / ".local" / "state") / PROJECT,
    )


def _xdg(environ: Mapping[str, str], name: str, default: Path) -> Path:
    value = Path(environ.get(name, ""))
    return value if value.is_absolute() else default
