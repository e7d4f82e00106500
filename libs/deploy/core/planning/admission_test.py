from dataclasses import replace

import pytest

from deploy.core.config import Environment, Gate, RegistryConfig, Service
from deploy.core.planning.admission import require_canary_analysis, require_committed
from deploy.errors import UsageError

PRODUCTION = Environment("production", (), RegistryConfig("123456789012", "eu-central-1"), "", "")
SERVICE = Service("app", "services/app:image")


def test_dirty_checkout_is_refused() -> None:
    with pytest.raises(
        UsageError, match="uncommitted changes, and production takes committed"
    ) as e:
        require_committed(PRODUCTION, dirty=True)
    assert "commit the changes" in e.value.hint


def test_clean_checkout_is_accepted() -> None:
    require_committed(PRODUCTION, dirty=False)


def test_environment_can_accept_a_dirty_checkout() -> None:
    require_committed(replace(PRODUCTION, allow_dirty=True), dirty=True)


def test_canary_without_a_gate_is_refused() -> None:
    ungated = replace(SERVICE, gate=Gate(enabled=False))
    with pytest.raises(UsageError, match="app: --canary needs the release gate"):
        require_canary_analysis(ungated, 20)
    require_canary_analysis(ungated, 0)


def test_canary_with_a_gate_is_accepted() -> None:
    require_canary_analysis(SERVICE, 20)
