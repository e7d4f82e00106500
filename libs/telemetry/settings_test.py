"""Settings and identity from environment variables."""

import pytest

from telemetry.identity import Identity
from telemetry.settings import Settings, SettingsError


def test_default_ports_and_log_level() -> None:
    settings = Settings.from_environ({})
    assert (settings.port, settings.metrics_port) == (8080, 9100)
    assert (settings.log_level, settings.traces_enabled) == ("info", False)


def test_all_problems_are_reported_at_once() -> None:
    environ = {"PORT": "http", "METRICS_PORT": "70000", "LOG_LEVEL": "loud", "DRAIN_NOTICE_S": "-1"}
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(environ)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "PORT",
        "METRICS_PORT",
        "LOG_LEVEL",
        "DRAIN_NOTICE_S",
    ]


def test_metrics_port_must_differ_from_the_apps_port() -> None:
    with pytest.raises(SettingsError, match="must differ from PORT"):
        Settings.from_environ({"PORT": "9100"})


@pytest.mark.parametrize("text", ["nan", "26", "soon", "²"])
def test_the_drain_notice_must_be_a_number_within_bounds(text: str) -> None:
    with pytest.raises(SettingsError, match="DRAIN_NOTICE_S"):
        Settings.from_environ({"DRAIN_NOTICE_S": text})


@pytest.mark.parametrize("text", ["nan", "0.5", "86401", "never"])
def test_the_silence_of_a_hung_worker_must_be_a_number_within_bounds(text: str) -> None:
    with pytest.raises(SettingsError, match="HUNG_AFTER_S: should be 1 to 86400 seconds"):
        Settings.from_environ({"HUNG_AFTER_S": text})


def test_opentelemetrys_variables_enable_traces() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    assert Settings.from_environ(endpoint).traces_enabled
    assert not Settings.from_environ({**endpoint, "OTEL_SDK_DISABLED": "true"}).traces_enabled


def test_identity_comes_from_the_environment() -> None:
    environ = {
        "SERVICE": "shop",
        "RELEASE": "r000007-abc",
        "REVISION": "abc",
        "CONFIG_HASH": "sha256:1",
        "REPLICA": "shop-r000007-2",
    }
    assert Identity.from_environ(environ, "other").as_dict() == {
        "service": "shop",
        "release": "r000007-abc",
        "revision": "abc",
        "config_hash": "sha256:1",
        "replica": "shop-r000007-2",
    }


def test_identity_is_unknown_where_the_environment_is_silent() -> None:
    identity = Identity.from_environ({}, "shop")
    assert (identity.service, identity.release, identity.revision) == ("shop", "unknown", "unknown")
    assert identity.replica
