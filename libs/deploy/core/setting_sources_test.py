"""Tests of where each setting of a service is from."""

from __future__ import annotations

from deploy.core.config import Condition, Gate, Health, Route, SecretRef, Service, Task, Tasks
from deploy.core.setting_sources import Given, Setting, settings_of

SERVICE = Service(
    "app",
    "services/app:image",
    replicas=5,
    route=Route("/shop"),
    health=Health(drain_s=1),
    gate=Gate(conditions=(Condition("queue", "q", at_most=20),)),
    tasks=Tasks(before_switch=Task(("migrate",))),
    env={"COLOUR": "blue", "LOG_LEVEL": "debug"},
    secrets={"DB": SecretRef("ssm", "/app/db")},
)
OWN = Given(
    "services/app/service.toml",
    {
        "name": "app",
        "image": "services/app:image",
        "replicas": 2,
        "route": {"path": "/shop"},
        "env": {"LOG_LEVEL": "info", "COLOUR": "blue"},
        "secrets": {"DB": {"env": "DB"}},
        "gate": {"conditions": [{"name": "queue"}]},
        "tasks": {"before_switch": {"command": ["old"], "timeout_s": 5}},
    },
)
OVERRIDE = Given(
    "production.toml",
    {
        "replicas": 5,
        "health": {"drain_s": 1},
        "env": {"LOG_LEVEL": "debug"},
        "secrets": {"DB": {"ssm": "/app/db"}},
        "tasks": {"before_switch": {"command": ["migrate"]}},
    },
)


def test_each_setting_names_the_file_that_it_is_from() -> None:
    found = {each.key: each for each in settings_of(SERVICE, OWN, OVERRIDE)}
    expected = [
        Setting("name", "app", OWN.file),
        Setting("replicas", 5, OVERRIDE.file),
        Setting("port", 8080, "default"),
        Setting("route.path", "/shop", OWN.file),
        Setting("route.host", "", "default"),
        Setting("health.drain_s", 1, OVERRIDE.file),
        Setting("health.interval_s", 10.0, "default"),
        Setting("env.LOG_LEVEL", "debug", OVERRIDE.file),
        Setting("env.COLOUR", "blue", OWN.file),
        Setting("secrets.DB", {"ssm": "/app/db", "into": "file"}, OVERRIDE.file),
        Setting("gate.conditions", [{"name": "queue", "query": "q", "at_most": 20}], OWN.file),
        Setting("tasks.before_switch.command", ["migrate"], OVERRIDE.file),
        Setting("tasks.before_switch.timeout_s", 300.0, "default"),
    ]
    assert [found[each.key] for each in expected] == expected
    assert "tasks.after_switch" not in found


def test_without_files_everything_is_a_default() -> None:
    nothing = Given("x", {})
    found = settings_of(Service("app", "a:b"), nothing, nothing)
    assert {each.source for each in found} == {"default"}
