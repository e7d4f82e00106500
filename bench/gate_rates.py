"""Prints how often the gate refuses equal releases and finds bad ones, from seeded simulations; touches no host.

`python3 -m bench gate [ROLLOUTS]`, 5000 each by default (about 5 minutes): the table in docs/gate.md.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial

from deploy.core.config import Gate
from deploy.testing.simulated_traffic import (
    TrafficProfile,
    rates,
    simulate,
)

WELL = TrafficProfile()
EQUAL = {
    "both well": WELL,
    "replicas differ by half": replace(WELL, replica_spread=0.5),
    "two replicas": replace(WELL, replicas=2),
    "1 % errors on both": replace(WELL, errors=0.01),
    "3 % errors on both": replace(WELL, errors=0.03),
    "median 400 ms, heavy tail": replace(WELL, median_s=0.4, sigma=1.0),
}
BAD = {
    "2 % errors": replace(WELL, errors=0.02),
    "3 % errors": replace(WELL, errors=0.03),
    "5 % errors": replace(WELL, errors=0.05),
    "20 % errors of one replica of five": replace(WELL, bad_replica_errors=0.2),
    "30 ms slower": replace(WELL, added_s=0.03),
    "60 ms slower": replace(WELL, added_s=0.06),
    "every tenth answer 600 ms slower": replace(WELL, slow_share=0.1, slow_s=0.6),
}
LOOKS = (100, 300)


def table(rollouts: int) -> str:
    """Returns the table, in Markdown."""
    gate = Gate()
    heads = [f"{each} a look: {word}" for each in LOOKS for word in ("refused", "unclear")]
    lines = [f"| new against old | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    pairs = [(f"equal: {name}", both, both) for name, both in EQUAL.items()]
    for name, old, new in [*pairs, *((name, WELL, bad) for name, bad in BAD.items())]:
        cells = []
        for each in LOOKS:
            run = partial(simulate, old, new, gate, each)
            found = rates(run, rollouts)
            cells += [f"{found['fail']:.1%}", f"{found['inconclusive']:.1%}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 5000))
