"""Saves the logs of replicas on their host before they are removed, without the values of secrets."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from deploy.core.commands import kept_logs
from deploy.core.commands.files import tar_of
from deploy.core.planning.steps import KeepLogs
from deploy.core.state.redaction import Redaction
from deploy.core.state.secrets import Secret
from deploy.errors import LockedError, ShipError
from deploy.run.hosts.locked_host import LockedHost

READ_DEADLINE_S = 120.0


def keep_logs(
    locked: LockedHost, step: KeepLogs, redact: Redaction, say: Callable[[str], None]
) -> None:
    """Saves the logs. Says why if that fails, since a revert must go on. Raises LockedError if the lock was lost.

    The host's own files name the secrets that the replicas saw. They may be older than the store's current values.
    """
    what = f"keeping the logs of {step.service} {step.release}"
    try:
        argv = kept_logs.read(step.service, step.release, step.names)
        found = kept_logs.parse_removed(locked.host.run(argv, timeout_s=READ_DEADLINE_S).stdout)
        for value in found.secrets:
            redact.know(Secret(value))
        files = [(f"{name}.log", redact(text), 0o600) for name, text in found.texts.items()]
        if not files:
            raise ValueError("the host printed none")
        argv = kept_logs.keep(step.service, step.release, step.dropped)
        locked.run_checked(argv, what, stdin=gzip.compress(tar_of(files)))
    except LockedError:
        raise
    except ShipError as error:
        say(f"the logs of {step.release} are not kept: {error.message}")
    except ValueError as error:
        say(f"the logs of {step.release} are not kept: {error}")
