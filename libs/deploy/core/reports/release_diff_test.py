"""What changed between two releases, as a report shows it."""

from __future__ import annotations

from dataclasses import replace

from deploy.core.config import Service
from deploy.core.reports.release_diff import Change, changes
from deploy.core.state.release import Release, make_release
from deploy.testing import factories


def release(number: int, service: Service) -> Release:
    return make_release(
        service, factories.image("one"), number, "", factories.ORIGIN, subnet="10.213.0.0/16"
    )


def env(*public: str, **values: str) -> Service:
    return replace(factories.service(), env=values, public_env=public)


def test_values_of_variables_are_hidden_unless_they_are_public() -> None:
    old = release(1, env("COLOR", COLOR="red", TOKEN="hunter2", OLD="hunter3"))
    new = release(2, env("COLOR", COLOR="blue", TOKEN="hunter4", NEW="hunter5"))
    found = changes(old, new)
    assert found == (
        Change("env COLOR", "red", "blue"),
        Change("env NEW", "", "set"),
        Change("env OLD", "set", ""),
        Change("env TOKEN", "set", "set to another value"),
    )
    assert "hunter" not in repr(found)


def test_each_release_decides_about_its_own_value() -> None:
    old, new = release(1, env(COLOR="red")), release(2, env("COLOR", COLOR="blue"))
    assert changes(old, new) == (Change("env COLOR", "set", "blue"),)
    assert changes(new, old) == (Change("env COLOR", "blue", "set to another value"),)


def test_marking_a_variable_as_public_is_no_new_configuration() -> None:
    old, new = release(1, env(COLOR="red")), release(2, env("COLOR", COLOR="red"))
    assert old.config_hash == new.config_hash
