"""When in a rollout a release is analysed."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Who sends requests to the release by then. The values stand in the hosts' ledgers."""

    PREVIEW = "trial"
    """No users yet, only synthetic requests."""
    CANARY = "canary"
    """A share of the users."""
    USERS = "users"
    """All users."""
