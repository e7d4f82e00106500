"""Pants backend that makes `./pants lint` check Grafana dashboards with observability/lint.py.

Pants imports this file into its own Python 3.9 when its daemon starts. The linter runs on the repository's Python, in a
sandbox. Written for Pants 2.17: https://www.pantsbuild.org/v2.17/docs/plugins-lint-goal
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
    """The JSON files of the dashboards."""

    expected_file_extensions = (".json",)
    required = True
    uses_source_roots = False


class GrafanaDashboards(Target):
    """A target of dashboards. `ship affected` recognises changed dashboards by this type."""

    alias = "grafana_dashboards"
    core_fields = (*COMMON_TARGET_FIELDS, DashboardSources)
    help = "Grafana dashboards in classic JSON, checked by `lint`."


class DashboardLint(Subsystem):
    """Options of the linter: `--dashboard-lint-skip`, `--lint-only=dashboard-lint`."""

    options_scope = "dashboard-lint"
    name = "dashboard-lint"
    help = "The rules of Grafana's dashboard-linter, in observability/lint.py."
    skip = SkipOption("lint")


@dataclass(frozen=True)
class DashboardFieldSet(FieldSet):
    """The fields of a target that the linter reads."""

    required_fields = (DashboardSources,)
    sources: DashboardSources


class DashboardLintRequest(LintTargetsRequest):
    """Lints all dashboards in one process."""

    field_set_type = DashboardFieldSet
    tool_subsystem = DashboardLint
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION


@rule(desc="Lint Grafana dashboards", level=LogLevel.DEBUG)
async def lint_dashboards(
    request: DashboardLintRequest.Batch[DashboardFieldSet, Any],
) -> LintResult:
    """Runs `python -m observability.lint FILES`. Pants infers its dependencies from its imports."""
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
        Get(SourceFiles, SourceFilesRequest(field_set.sources for field_set in request.elements)),
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
    """Returns the rules that this backend registers with Pants."""
    return [*collect_rules(), *DashboardLintRequest.rules()]


def target_types() -> list[type[Target]]:
    """Returns the target types that this backend adds to BUILD files."""
    return [GrafanaDashboards]
