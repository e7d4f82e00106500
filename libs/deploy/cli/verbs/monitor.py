"""`ship monitor`: runs the browser journeys against an environment at intervals.

Each run reports to the environment's Pushgateway. A failed run is printed and does not end the verb.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import ROOT, Wiring
from deploy.errors import JourneysFailedError, UsageError

SHORTEST_S = 10.0


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--every",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="time between the starts of two runs (default: 300)",
    )
    parser.add_argument(
        "--once", action="store_true", help="run once; the exit code is the outcome"
    )


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    if arguments.every < SHORTEST_S:
        raise UsageError(f"--every: at least {SHORTEST_S:g} seconds, not {arguments.every:g}")
    runs = failed = 0
    while True:
        begun = wiring.clock.monotonic()
        passed = _journeys(wiring)
        runs, failed = runs + 1, failed + (not passed)
        seconds = wiring.clock.monotonic() - begun
        if arguments.once:
            return _ended(wiring, runs, passed=passed)
        _report(console, runs, passed=passed, seconds=seconds, as_json=arguments.json)
        wiring.clock.sleep(max(arguments.every - seconds, 0.0))


def _journeys(wiring: Wiring) -> bool:
    """Runs every service's journeys against the first host's public URL."""
    url, keep = wiring.settings.environment().hosts[0].url, ROOT / "dist" / "e2e"
    files = sorted({each.journeys for each in wiring.settings.services.values() if each.journeys})
    # A list, so that all of them run even after one failed.
    outcomes = [wiring.journeys(file, keep, report=True, monitored=True).run(url) for file in files]
    return all(outcomes)


def _ended(wiring: Wiring, runs: int, *, passed: bool) -> Document:
    if not passed:
        raise JourneysFailedError(
            f"the browser journeys failed against {wiring.settings.environment().name}",
            hint="screenshots and traces are in dist/e2e",
        )
    return {"environment": wiring.settings.environment().name, "runs": runs, "passed": True}


def _report(console: Console, runs: int, *, passed: bool, seconds: float, as_json: bool) -> None:
    if as_json:
        line = {"run": runs, "passed": passed, "seconds": round(seconds, 1)}
        print(json.dumps(line), flush=True)
    else:
        console.say(f"run {runs}: {'passed' if passed else 'FAILED'} in {seconds:.1f} s")


VERB = Verb(_run, _add)
