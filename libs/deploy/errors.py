"""Every failure the tool knows, as a type; never recognised by its text.

An error says what failed, what state remains and what to do next. `deploy.cli.main` is the one place that
turns an error into an exit code: 0 done, 1 failed and reverted, 2 usage or config, 3 locked, 4 a person is
needed.
"""

from __future__ import annotations


class ShipError(Exception):
    """A failure with a next step.

    `message` is one line: what failed and what state remains. `hint` is the next command or action. Neither
    ever holds a secret's value. `exit_code` is the process's answer.
    """

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ShipError):
    """The command or its arguments are off; nothing was touched."""

    exit_code = 2


class ConfigError(ShipError):
    """A configuration file is wrong; `problems` lists each with its path (`hosts[1].port: ...`)."""

    exit_code = 2

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class MissingSecretsError(ConfigError):
    """A store doesn't hold what a service or a release names; `problems` lists each, nothing was touched."""


class SecretStoreError(ShipError):
    """A store of secrets refused or can't be reached; nothing was touched."""


class SecretStoreAuthError(SecretStoreError):
    """A store of secrets refused our credentials."""

    exit_code = 2


class LockedError(ShipError):
    """Somebody else holds the lock; the message says who and since when."""

    exit_code = 3


class HostUnreachableError(ShipError):
    """A host can't be reached (no route, refused, timed out, connection lost)."""


class HostKeyError(ShipError):
    """A host's key is unknown or differs from the pinned one; never accepted."""

    exit_code = 2


class HostAuthError(ShipError):
    """A host refused our login."""

    exit_code = 2


class CommandError(ShipError):
    """A command on a host exited non-zero; `stderr` holds its last lines."""

    def __init__(self, message: str, *, stderr: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stderr = stderr


class CommandTimeoutError(ShipError):
    """A command on a host ran longer than its limit and was ended."""


class EngineError(ShipError):
    """The Docker engine doesn't run or refused."""


class NoEngineError(EngineError):
    """No Docker engine answers on this machine; what needed one was not done."""

    exit_code = 2


class BuildError(ShipError):
    """An image could not be built or failed its smoke test; nothing was published."""


class RegistryError(ShipError):
    """The registry or its control plane refused or can't be reached."""


class RegistryAuthError(RegistryError):
    """The registry refused our credentials."""

    exit_code = 2


class ImageNotFoundError(RegistryError):
    """The registry holds no image of that digest or tag."""

    exit_code = 2


class TagTakenError(RegistryError):
    """The tag that names this content is another image's in the registry; nothing was pushed."""

    exit_code = 2


class PreflightError(ShipError):
    """A host isn't fit for a deploy; nothing was changed."""


class UnhealthyError(ShipError):
    """Replicas of a candidate did not become healthy; the old release still serves."""


class TaskError(ShipError):
    """A task of a release failed or took too long; the message has its last lines."""


class VerifyError(ShipError):
    """What answers from outside is not what was deployed."""


class AuditError(ShipError):
    """A host's ledger is not as it was written: a line was changed, or is missing."""

    exit_code = 4


class JourneysFailedError(ShipError):
    """Browser journeys failed against a release; the message says which one serves."""


class MetricsError(ShipError):
    """Prometheus can't be asked or doesn't see what it should."""


class HistoryError(ShipError):
    """Git can't say what changed; nothing was concluded from it."""


class GraphError(ShipError):
    """Pants can't say what depends on what; nothing was concluded from it."""


class DeploymentsError(ShipError):
    """GitLab can't say which revision was verified last; nothing was concluded from it."""


class SelectionMissedError(ShipError):
    """A full run failed where the selection for the change would not have looked; all was tested."""


class ReleaseRefusedError(ShipError):
    """The watch or the analysis refused a release, as `verdict` says. With `holds` a person is to decide about it."""

    def __init__(
        self, message: str, *, verdict: object, holds: bool = False, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.verdict = verdict
        self.holds = holds
