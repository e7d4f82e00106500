"""Writes what scipy says of the gate's tests, for libs/deploy/core/analysis/significance_test.py; never run by a test.

scipy and numpy are 60 MB and 4 s of import, so they are no requirement of this project:
`uv run --no-project --with scipy==1.17.1 bench/gate_oracle.py libs/deploy/core/analysis/significance_oracle.json`.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
from pathlib import Path
from typing import Any

SEED = 20261124


def _wilson(stats: Any, chance: random.Random) -> list[dict[str, Any]]:
    cases = [(0, 1), (1, 1), (0, 300), (300, 300), (6, 300), (15, 300), (3, 7), (5000, 100_000)]
    cases += [(chance.randint(0, n), n) for n in (chance.randint(1, 3000) for _ in range(40))]
    found = []
    for hits, total in cases:
        alpha = chance.choice([0.05, 0.02, 0.02 / 3, 0.001])
        bounds = stats.binomtest(hits, total).proportion_ci(1 - alpha, method="wilson")
        given = {"hits": hits, "total": total, "alpha": alpha}
        found.append({**given, "low": float(bounds.low), "high": float(bounds.high)})
    return found


def _fisher(stats: Any, chance: random.Random) -> list[dict[str, Any]]:
    cases = [(0, 1, 0, 1), (1, 1, 0, 1), (6, 300, 0, 300), (0, 300, 6, 300), (15, 300, 3, 300)]
    cases += [(300, 300, 300, 300), (40, 100, 900, 90_000), (500, 50_000, 450, 50_000)]
    for _ in range(60):
        n, m = chance.randint(1, 2000), chance.randint(1, 2000)
        share = chance.choice([0.002, 0.02, 0.2, 0.9])
        new, old = (sum(chance.random() < share for _ in range(total)) for total in (n, m))
        cases.append((new, n, old, m))
    found = []
    for new, n, old, m in cases:
        table = [[new, n - new], [old, m - old]]
        p = float(stats.fisher_exact(table, alternative="greater").pvalue)
        found.append({"new_hits": new, "new_total": n, "old_hits": old, "old_total": m, "p": p})
    return found


def _mann_whitney(stats: Any, chance: random.Random) -> list[dict[str, Any]]:
    found = []
    for _ in range(60):
        buckets, shift = chance.randint(2, 40), chance.choice([0.0, 0.0, 0.5, 2.0])
        sides = []
        for added in (shift, 0.0):
            counts = [0] * buckets
            for _ in range(chance.randint(3, 600)):
                place = int(chance.gauss(buckets / 2 + added, buckets / 6))
                counts[min(max(place, 0), buckets - 1)] += 1
            sides.append(counts)
        new, old = ([at for at, count in enumerate(s) for _ in range(count)] for s in sides)
        if len({*new, *old}) < 2:
            continue
        told = stats.mannwhitneyu(new, old, alternative="greater", method="asymptotic")
        delta = 2 * float(told.statistic) / (len(new) * len(old)) - 1
        found.append({"new": sides[0], "old": sides[1], "p": float(told.pvalue), "delta": delta})
    return found


def main(path: str) -> None:
    """Writes all cases to a file."""
    stats: Any = importlib.import_module("scipy.stats")
    scipy: Any = importlib.import_module("scipy")
    chance = random.Random(SEED)  # noqa: S311 - the cases are the same at every run
    document = {
        "made_by": f"bench/gate_oracle.py with scipy {scipy.__version__}",
        "wilson": _wilson(stats, chance),
        "fisher": _fisher(stats, chance),
        "mann_whitney": _mann_whitney(stats, chance),
    }
    Path(path).write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
