"""Makes the pieces that are missing, with progress; it never asks: who calls it has asked."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.pieces import Piece, bring
from toolchain.places import Places
from toolchain.progress import Progress


def bring_all(pieces: Sequence[Piece], places: Places) -> None:
    """Make what is missing of `pieces`, in their order; says nothing when all is there."""
    missing = [piece for piece in pieces if not piece.is_whole(places.cache)]
    if not missing:
        return
    progress = Progress(missing)
    for piece in missing:
        progress.begin(piece)
        bring(piece, places.cache)
    progress.end()
