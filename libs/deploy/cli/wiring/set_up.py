"""The verbs of the toolchain, which run before this library is installed, for `ship --help` and docs/cli.md."""

from __future__ import annotations

from deploy.cli.reference import Entry
from deploy.cli.verb import Group
from toolchain import caches, doctor, locks, test_verb


def entries() -> tuple[Entry, ...]:
    """Returns the verbs that `libs/toolchain` runs itself."""
    return (
        Entry(
            Group.LOCAL,
            "doctor",
            "lists every prerequisite, found or missing, with its fix; --fix installs them",
            "ship doctor --fix --yes",
            doctor.parser(),
        ),
        Entry(
            Group.LOCAL,
            "test",
            "runs lint, type checks and tests, then the integration tests on a sandbox of their own",
            "ship test libs/deploy::",
            test_verb.parser(),
        ),
        Entry(
            Group.BUILD,
            "lock",
            "compiles the requirements to hash-pinned locks",
            "ship lock --upgrade",
            locks.parser(),
        ),
        Entry(
            Group.PIPELINE,
            "caches",
            "prints what a pipeline's jobs took from Pants' caches, and the seconds saved",
            "ship caches dist/ci/cache",
            caches.parser(),
        ),
    )
