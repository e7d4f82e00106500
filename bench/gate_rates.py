"""Simulates how often the gate refuses equal releases and bad ones. Prints the table of docs/gate.md.

`python3 -m bench gate [ROLLOUTS]` simulates 5000 rollouts for each row by default, which takes about 5 minutes.
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

HEALTHY = TrafficProfile()
EQUAL = {
    "both healthy": HEALTHY,
    "replicas differ by half": replace(HEALTHY, replica_spread=0.5),
    "two replicas": replace(HEALTHY, replicas=2),
    "1 % errors on both": replace(HEALTHY, errors=0.01),
    "3 % errors on both": replace(HEALTHY, errors=0.03),
    "median 400 ms, heavy tail": replace(HEALTHY, median_s=0.4, sigma=1.0),
}
BAD = {
    "2 % errors": replace(HEALTHY, errors=0.02),
    "3 % errors": replace(HEALTHY, errors=0.03),
    "5 % errors": replace(HEALTHY, errors=0.05),
    "20 % errors of one replica of five": replace(HEALTHY, bad_replica_errors=0.2),
    "30 ms slower": replace(HEALTHY, added_s=0.03),
    "60 ms slower": replace(HEALTHY, added_s=0.06),
    "every tenth answer 600 ms slower": replace(HEALTHY, slow_share=0.1, slow_s=0.6),
}
REQUESTS_PER_ATTEMPT = (100, 300)
DEFAULT_ROLLOUTS = 5000


def table(rollouts: int) -> str:
    """Returns the table as Markdown."""
    gate = Gate()
    heads = [
        f"{requests} an attempt: {outcome}"
        for requests in REQUESTS_PER_ATTEMPT
        for outcome in ("refused", "unclear")
    ]
    lines = [f"| new against old | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    pairs = [(f"equal: {name}", both, both) for name, both in EQUAL.items()]
    for name, old, new in [*pairs, *((name, HEALTHY, bad) for name, bad in BAD.items())]:
        cells = []
        for requests in REQUESTS_PER_ATTEMPT:
            outcomes = rates(partial(simulate, old, new, gate, requests), rollouts)
            cells += [f"{outcomes['fail']:.1%}", f"{outcomes['inconclusive']:.1%}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROLLOUTS))
