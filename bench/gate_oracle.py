"""Computes the gate's statistical tests with scipy: the expected values of core/analysis/significance_test.py.

Run it by hand when the cases change. scipy isn't a requirement of this project: it takes 60 MB and 4 s to import.
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


def _wilson(stats: Any, rng: random.Random) -> list[dict[str, Any]]:
    cases = [(0, 1), (1, 1), (0, 300), (300, 300), (6, 300), (15, 300), (3, 7), (5000, 100_000)]
    cases += [(rng.randint(0, n), n) for n in (rng.randint(1, 3000) for _ in range(40))]
    results = []
    for hits, total in cases:
        alpha = rng.choice([0.05, 0.02, 0.02 / 3, 0.001])
        bounds = stats.binomtest(hits, total).proportion_ci(1 - alpha, method="wilson")
        case = {"hits": hits, "total": total, "alpha": alpha}
        results.append({**case, "low": float(bounds.low), "high": float(bounds.high)})
    return results


def _fisher(stats: Any, rng: random.Random) -> list[dict[str, Any]]:
    cases = [(0, 1, 0, 1), (1, 1, 0, 1), (6, 300, 0, 300), (0, 300, 6, 300), (15, 300, 3, 300)]
    cases += [(300, 300, 300, 300), (40, 100, 900, 90_000), (500, 50_000, 450, 50_000)]
    for _ in range(60):
        n, m = rng.randint(1, 2000), rng.randint(1, 2000)
        share = rng.choice([0.002, 0.02, 0.2, 0.9])
        new, old = (sum(rng.random() < share for _ in range(total)) for total in (n, m))
        cases.append((new, n, old, m))
    results = []
    for new, n, old, m in cases:
        table = [[new, n - new], [old, m - old]]
        p = float(stats.fisher_exact(table, alternative="greater").pvalue)
        results.append({"new_hits": new, "new_total": n, "old_hits": old, "old_total": m, "p": p})
    return results


def _mann_whitney(stats: Any, rng: random.Random) -> list[dict[str, Any]]:
    results = []
    for _ in range(60):
        buckets, shift = rng.randint(2, 40), rng.choice([0.0, 0.0, 0.5, 2.0])
        histograms = []
        for added in (shift, 0.0):
            counts = [0] * buckets
            for _ in range(rng.randint(3, 600)):
                bucket = int(rng.gauss(buckets / 2 + added, buckets / 6))
                counts[min(max(bucket, 0), buckets - 1)] += 1
            histograms.append(counts)
        new, old = ([at for at, count in enumerate(s) for _ in range(count)] for s in histograms)
        if len({*new, *old}) < 2:
            continue
        result = stats.mannwhitneyu(new, old, alternative="greater", method="asymptotic")
        delta = 2 * float(result.statistic) / (len(new) * len(old)) - 1
        results.append(
            {"new": histograms[0], "old": histograms[1], "p": float(result.pvalue), "delta": delta}
        )
    return results


def main(path: str) -> None:
    """Writes all cases and their results to a file."""
    stats: Any = importlib.import_module("scipy.stats")
    scipy: Any = importlib.import_module("scipy")
    rng = random.Random(SEED)  # noqa: S311 - a fixed seed gives the same cases at every run
    document = {
        "made_by": f"bench/gate_oracle.py with scipy {scipy.__version__}",
        "wilson": _wilson(stats, rng),
        "fisher": _fisher(stats, rng),
        "mann_whitney": _mann_whitney(stats, rng),
    }
    Path(path).write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
