"""`ship doctor`: every prerequisite, found or missing, with its fix; `--fix` brings what it can."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from toolchain.arguments import Arguments
from toolchain.prerequisites import Finding, examine
from toolchain.setup import (
    Setup,
    prepare,
    should_ask,
)

EXAMPLE = "example:\n  ./ship doctor --fix --yes"


def parser() -> Arguments:
    """The arguments of the verb."""
    parser = Arguments("doctor", __doc__, EXAMPLE)
    parser.add_argument("--fix", action="store_true", help="install and start what is missing")
    parser.add_argument("--yes", action="store_true", help="don't ask first")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--env", default="sandbox", metavar="NAME", help="no effect here")
    return parser


def doctor(setup: Setup, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return 0 when all is found, 1 when something is missing."""
    args = parser().parse_args(argv)
    if args.fix:
        prepare(setup.tasks_for_all("doctor"), ask=should_ask(argv, environ))
    findings = examine(setup.machine, setup.chain, setup.engine)
    missing = [finding for finding in findings if not finding.found]
    exit_code = 1 if missing else 0
    if args.json:
        print(json.dumps(document(findings, exit_code)))
    else:
        print(render(findings))
    return exit_code


def document(findings: Sequence[Finding], exit_code: int) -> dict[str, object]:
    """The JSON document of the verb."""
    missing = [finding for finding in findings if not finding.found]
    error = None
    if missing:
        message = "missing: " + ", ".join(finding.name for finding in missing)
        error = {"type": "MissingError", "message": message, "hint": missing[0].fix}
    checks = [asdict(finding) for finding in findings]
    return {"ok": not missing, "exit_code": exit_code, "error": error, "checks": checks}


def render(findings: Sequence[Finding]) -> str:
    """Lines for people, the fix below what is missing."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        word = "found  " if finding.found else "MISSING"
        lines.append(f"{word}  {finding.name:<{width}}  {finding.detail}")
        if finding.fix:
            lines.append(f"         {'':<{width}}  fix: {finding.fix}")
    missing = sum(not finding.found for finding in findings)
    lines.append("all found" if not missing else f"{missing} missing: ./ship doctor --fix")
    return "\n".join(lines)
