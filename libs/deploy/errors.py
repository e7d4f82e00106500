"""The errors of the deploy tool, each a type of its own.

A message says what failed and what state remains; the hint says what to do next. `deploy.cli.main` turns the types into
exit codes: 0 done, 1 failed and reverted, 2 usage or configuration, 3 locked, 4 a person is needed.
"""

from __future__ import annotations


class ShipError(Exception):
    """A failure with a next step.

    `message` is one line: what failed and what state remains. `hint` is the next command or action. Neither contains
    a secret's value. `exit_code` is the exit code of the process.
    """

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ShipError):
    """The command or its arguments are wrong; nothing was changed."""

    exit_code = 2


class ConfigError(ShipError):
    """A configuration file is wrong. `problems` lists every problem with its path (`hosts[1].port: ...`)."""

    exit_code = 2

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class MissingSecretsError(ConfigError):
    """Secrets that a service or a release names are missing, as listed in `problems`; nothing was changed."""


class SecretStoreError(ShipError):
    """A secret store refused a request or can't be reached; nothing was changed."""


class SecretStoreAuthError(SecretStoreError):
    """A secret store refused the credentials."""

    exit_code = 2


class LockedError(ShipError):
    """Another process holds the lock; the message says who and since when."""

    exit_code = 3


class HostUnreachableError(ShipError):
    """A host can't be reached: no route, refused, timed out, or the connection was lost."""


class HostKeyError(ShipError):
    """A host's key is unknown or differs from the pinned one."""

    exit_code = 2


class HostAuthError(ShipError):
    """A host refused the login."""

    exit_code = 2


class CommandError(ShipError):
    """A command on a host failed; `stderr` has its last lines."""

    def __init__(self, message: str, *, stderr: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stderr = stderr


class CommandTimeoutError(ShipError):
    """A command on a host exceeded its time limit and was ended."""


class EngineError(ShipError):
    """The Docker engine doesn't run or refused a request."""


class NoEngineError(EngineError):
    """No Docker engine answers on this machine."""

    exit_code = 2


class BuildError(ShipError):
    """An image could not be built or failed its smoke test; nothing was published."""


class RegistryError(ShipError):
    """The registry or its control plane refused a request or can't be reached."""


class RegistryAuthError(RegistryError):
    """The registry refused the credentials."""

    exit_code = 2


class ImageNotFoundError(RegistryError):
    """The registry has no image with this digest or tag."""

    exit_code = 2


class TagTakenError(RegistryError):
    """The tag for this content belongs to another image in the registry; nothing was pushed."""

    exit_code = 2


class PreflightError(ShipError):
    """A host isn't ready for a deploy; nothing was changed."""


class UnhealthyError(ShipError):
    """Replicas did not become healthy, or ended after they had."""


class TaskError(ShipError):
    """A task of a release failed or timed out; the message has its last lines."""


class VerifyError(ShipError):
    """The answers through the edge are not from the expected release."""


class RecordError(ShipError):
    """Records of a host are damaged, missing or of a newer version; nothing was changed and serving goes on."""

    exit_code = 4


class AuditError(ShipError):
    """Lines of a host's ledger were changed or are missing."""

    exit_code = 4


class DemoError(ShipError):
    """The demo did not go as told."""


class JourneysFailedError(ShipError):
    """Browser journeys failed against a release; the message says which release is live."""


class MetricsError(ShipError):
    """Prometheus can't be queried, or doesn't see all replicas."""


class HistoryError(ShipError):
    """Git can't tell what changed."""


class GraphError(ShipError):
    """Pants can't tell which targets depend on which."""


class DeploymentsError(ShipError):
    """GitLab can't tell which revision was verified last."""


class SelectionMissedError(ShipError):
    """A full test run failed in a test that the selection for the change would have skipped."""


class ReleaseRefusedError(ShipError):
    """The watch or the analysis refused a release; `verdict` has the evidence. With `holds` a person has to decide."""

    def __init__(
        self, message: str, *, verdict: object, holds: bool = False, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.verdict = verdict
        self.holds = holds
