"""Lets `./pants lint` hold Grafana dashboards against observability/lint.py; it has no rule of its own.

Pants runs on its own Python 3.9 and imports this file at each start of its daemon; the linter runs on the
repository's Python, in a sandbox. Written for Pants 2.17: https://www.pantsbuild.org/v2.17/docs/plugins-lint-goal
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pants.backend.python.target_types import EntryPoint
from pants.backend.python.util_rules.pex import PexRequest, VenvPex, VenvPexProcess
from pants.backend.python.util_rules.pex_from_targets import PexFromTargetsRequest
from pants.core.goals.lint import LintResult, LintTargetsRequest
from pants.core.util_rules.partitions import PartitionerType
from pants.core.util_rules.source_files import SourceFiles, SourceFilesRequest
from pants.engine.addresses import Address
from pants.engine.process import FallibleProcessResult
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import COMMON_TARGET_FIELDS, FieldSet, MultipleSourcesField, Target
from pants.option.option_types import SkipOption
from pants.option.subsystem import Subsystem
from pants.util.logging import LogLevel

LINTER = Address("observability", relative_file_path="lint.py")


class DashboardSources(MultipleSourcesField):
    """The dashboards' files."""

    expected_file_extensions = (".json",)
    required = True
    uses_source_roots = False


class GrafanaDashboards(Target):
    """A kind of its own, so that `ship affected` can tell a changed dashboard from any other changed file."""

    alias = "grafana_dashboards"
    core_fields = (*COMMON_TARGET_FIELDS, DashboardSources)
    help = "Grafana dashboards in classic JSON, which `lint` checks."


class DashboardLint(Subsystem):
    """`--dashboard-lint-skip`, `--lint-only=dashboard-lint`."""

    options_scope = "dashboard-lint"
    name = "dashboard-lint"
    help = "The rules of Grafana's dashboard-linter, in observability/lint.py."
    skip = SkipOption("lint")


@dataclass(frozen=True)
class DashboardFieldSet(FieldSet):
    """What the linter needs of a target."""

    required_fields = (DashboardSources,)
    sources: DashboardSources


class DashboardLintRequest(LintTargetsRequest):
    """All dashboards go to one process."""

    field_set_type = DashboardFieldSet
    tool_subsystem = DashboardLint
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION


@rule(desc="Lint Grafana dashboards", level=LogLevel.DEBUG)
async def lint_dashboards(
    request: DashboardLintRequest.Batch[DashboardFieldSet, Any],
) -> LintResult:
    """Runs `python -m observability.lint FILES`; what it needs is inferred from its imports."""
    pex_request, files = await MultiGet(
        Get(
            PexRequest,
            PexFromTargetsRequest(
                [LINTER],
                output_filename="dashboard-lint.pex",
                internal_only=True,
                main=EntryPoint("observability.lint"),
            ),
        ),
        Get(SourceFiles, SourceFilesRequest(each.sources for each in request.elements)),
    )
    linter = await Get(VenvPex, PexRequest, pex_request)
    result = await Get(
        FallibleProcessResult,
        VenvPexProcess(
            linter,
            argv=files.snapshot.files,
            input_digest=files.snapshot.digest,
            description=f"Lint {len(files.snapshot.files)} Grafana dashboards",
            level=LogLevel.DEBUG,
        ),
    )
    return LintResult.create(request, result)


def rules() -> list[Any]:
    """What Pants asks of a backend."""
    return [*collect_rules(), *DashboardLintRequest.rules()]


def target_types() -> list[type[Target]]:
    """The same, for BUILD files."""
    return [GrafanaDashboards]
