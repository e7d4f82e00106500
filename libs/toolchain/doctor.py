"""`ship doctor`: lists every prerequisite, found or missing, with its fix. `--fix` installs what is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from toolchain.arguments import VerbParser
from toolchain.prerequisites import Finding, check_prerequisites
from toolchain.setup import (
    Setup,
    prepare,
    should_confirm,
)

EXAMPLE = "example:\n  ./ship doctor --fix --yes"


def parser() -> VerbParser:
    """Returns the verb's argument parser."""
    parser = VerbParser("doctor", __doc__, EXAMPLE)
    parser.add_argument("--fix", action="store_true", help="install and start what is missing")
    parser.add_argument("--yes", action="store_true", help="don't ask first")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--env", default="sandbox", metavar="NAME", help="no effect here")
    return parser


def doctor(setup: Setup, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Prints the findings. Returns 0 if everything was found, 1 if something is missing."""
    args = parser().parse_args(argv)
    if args.fix:
        prepare(setup.tasks_for_all("doctor"), confirm=should_confirm(argv, environ))
    findings = check_prerequisites(setup.machine, setup.toolset, setup.daemon)
    missing = [finding for finding in findings if not finding.found]
    exit_code = 1 if missing else 0
    if args.json:
        print(json.dumps(document(findings, exit_code)))
    else:
        print(render(findings))
    return exit_code


def document(findings: Sequence[Finding], exit_code: int) -> dict[str, object]:
    """Returns the document that `--json` prints."""
    missing = [finding for finding in findings if not finding.found]
    error = None
    if missing:
        message = "missing: " + ", ".join(finding.name for finding in missing)
        error = {"type": "MissingError", "message": message, "hint": missing[0].fix}
    checks = [asdict(finding) for finding in findings]
    return {"ok": not missing, "exit_code": exit_code, "error": error, "checks": checks}


def render(findings: Sequence[Finding]) -> str:
    """Returns a table of the findings, with the fix below each missing one."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        result = "found  " if finding.found else "MISSING"
        lines.append(f"{result}  {finding.name:<{width}}  {finding.detail}")
        if finding.fix:
            lines.append(f"         {'':<{width}}  fix: {finding.fix}")
    missing = sum(not finding.found for finding in findings)
    lines.append(f"{missing} missing: ./ship doctor --fix" if missing else "nothing is missing")
    return "\n".join(lines)
