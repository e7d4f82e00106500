"""Says on stderr what set-up does, how far it is and how long it takes; it never asks anything."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from toolchain.pieces import Piece


@dataclass
class Progress:
    """Counts the pieces of one set-up and the seconds that their estimates leave."""

    pieces: Sequence[Piece]
    out: TextIO = field(default_factory=lambda: sys.stderr)
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    def begin(self, piece: Piece) -> None:
        """Announce the piece that is made now."""
        left = sum(each.seconds for each in self.pieces[self.done :])
        place = f"[{self.done + 1}/{len(self.pieces)}]"
        size = f"{piece.download_mb} MB to download"
        print(f"{place} {piece.title}: {size}, about {left} s left", file=self.out, flush=True)
        self.done += 1

    def end(self) -> None:
        """Announce how long it all took."""
        seconds = time.monotonic() - self.started
        print(f"set up in {seconds:.0f} s", file=self.out, flush=True)
