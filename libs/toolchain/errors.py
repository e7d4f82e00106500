"""The errors of the toolchain. Each states what failed, what state remains and the next command."""

from __future__ import annotations


class ToolchainError(Exception):
    """Set-up or a check failed. Finished steps are kept."""

    exit_code = 1

    def __init__(self, failed: str, remains: str, next_command: str) -> None:
        super().__init__(f"{failed} {remains} Next: {next_command}")
        self.failed = failed
        self.remains = remains
        self.next_command = next_command


class UsageError(ToolchainError):
    """The command line is wrong. Nothing was done."""

    exit_code = 2


class PersonNeededError(ToolchainError):
    """A person has to act first: answer a question, grant a permission, name a mirror."""

    exit_code = 4
