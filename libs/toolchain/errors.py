"""The errors of the toolchain: each says what failed, what remains and the next command."""

from __future__ import annotations


class ToolchainError(Exception):
    """Set-up or a check failed; what was complete before stays and is used again."""

    exit_code = 1

    def __init__(self, failed: str, remains: str, next_command: str) -> None:
        super().__init__(f"{failed} {remains} Next: {next_command}")
        self.failed = failed
        self.remains = remains
        self.next_command = next_command


class UsageError(ToolchainError):
    """The command line can't be understood; nothing was done."""

    exit_code = 2


class PersonNeededError(ToolchainError):
    """Only a person can go on: a question that nobody answered, a right that is missing."""

    exit_code = 4
