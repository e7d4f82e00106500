"""Deploys of services with secrets to simulated hosts: who gets a value, and where none may appear."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.core.commands import locks, secret_files
from deploy.core.config import SecretRef
from deploy.core.planning.steps import describe
from deploy.core.state.redaction import Redaction
from deploy.errors import MissingSecretsError, SecretStoreError
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    Result,
    RevertedError,
    RollbackCommand,
    confirm,
    deploy,
    plan,
    rollback,
)
from deploy.run.rollout.events import Event
from deploy.run.rollout.rollout_fixture import FOUR, ONE, THREE, TWO, context, deploy_command
from deploy.run.steps.secrets import SecretResolver
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import (
    Fault,
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import MemoryHost
from deploy.testing.servers.secret_stores import MemoryStore

REFS = {
    "TOKEN": SecretRef("env", "CI_TOKEN"),
    "PASSWORD": SecretRef("ssm", "/app/password", into="env"),
    "USER": SecretRef("secretsmanager", "app/db", field="user"),
}
FIRST = {"TOKEN": "token-of-the-first", "PASSWORD": "pa$$word 1", "USER": "somebody-1"}
SECOND = {"TOKEN": "token-of-the-second", "PASSWORD": "pa$$word 2", "USER": "somebody-2"}


@dataclass
class Scene:
    """A fleet, and the stores that deployers read secrets from."""

    fleet: Fleet = field(default_factory=lambda: Fleet.of("host-1", "host-2"))
    env: MemoryStore = field(default_factory=MemoryStore)
    ssm: MemoryStore = field(default_factory=lambda: MemoryStore(versioned=True))
    manager: MemoryStore = field(default_factory=lambda: MemoryStore(versioned=True))
    events: list[Event] = field(default_factory=list)
    refs: dict[str, SecretRef] = field(default_factory=lambda: dict(REFS))

    def keep(self, **values: str) -> None:
        """Stores values under the keys that the service names."""
        for name, value in values.items():
            match self.refs[name]:
                case SecretRef(store="env", key=key):
                    self.env.put(key, value)
                case SecretRef(store="ssm", key=key):
                    self.ssm.put(key, value)
                case SecretRef(key=key, field=stack):
                    self.manager.put(key, json.dumps({stack: value, "other": "thing"}))

    def context(self) -> DeployContext:
        """Returns the context of a new process, which has fetched nothing yet."""
        stores = {"env": self.env, "ssm": self.ssm, "secretsmanager": self.manager}
        return replace(context(self.fleet), secrets=SecretResolver(stores, Redaction()))

    def command(self, label: str = "one", *, why: str = "") -> DeployCommand:
        service = replace(factories.service(replicas=2), secrets=self.refs)
        command = deploy_command(self.fleet, label, service)
        return replace(command, origin=replace(factories.ORIGIN, why=why))

    def deploy(self, label: str = "one", *, why: str = "") -> Result:
        try:
            result = deploy(self.command(label, why=why), self.context(), self.events.append)
            self.fleet.await_drained()
            return result
        finally:
            assert self.fleet.violations == []

    def back(self, to: str | None = None) -> Result:
        command = RollbackCommand(self.command().service, factories.ORIGIN, to)
        result = rollback(command, self.context(), self.events.append)
        self.fleet.await_drained()
        return result

    def secrets(self) -> list[dict[str, str]]:
        """Returns the distinct sets of secrets that replicas see."""
        views = [
            host.secrets_of(container)
            for host in self.fleet.hosts
            for container in host.engine.containers.values()
            if container.has_check
        ]
        return [view for at, view in enumerate(views) if view not in views[:at]]


@pytest.fixture
def scene() -> Scene:
    found = Scene()
    found.keep(**FIRST)
    return found


def test_every_replica_gets_its_secrets(scene: Scene) -> None:
    assert scene.deploy().release == ONE
    assert scene.secrets() == [FIRST]


def test_deploy_with_the_same_secrets_changes_nothing(scene: Scene) -> None:
    scene.deploy()
    assert scene.deploy().outcome == "unchanged"


@pytest.mark.parametrize("name", REFS)
def test_another_value_is_a_new_release_of_the_same_image(scene: Scene, name: str) -> None:
    scene.deploy()
    scene.keep(**{name: SECOND[name]})
    result = scene.deploy()
    assert (result.release, result.outcome) == (TWO, "live")
    assert scene.secrets() == [{**FIRST, name: SECOND[name]}]
    assert scene.deploy().outcome == "unchanged"


def test_confirm_compares_names_of_secrets_and_not_versions(scene: Scene) -> None:
    """GitLab's Rollback button runs an old job again, whose release had older versions of the secrets."""
    scene.deploy()
    scene.deploy("two")
    scene.keep(**SECOND)
    scene.deploy("two")

    def confirmed(label: str) -> tuple[str, str]:
        result = confirm(scene.command(label), scene.context(), scene.events.append)
        return result.release, result.outcome

    assert confirmed("two") == (THREE, "unchanged")
    assert confirmed("one") == (ONE, "live")
    assert scene.secrets() == [SECOND]
    scene.refs = {name: ref for name, ref in REFS.items() if name != "USER"}
    assert confirmed("one") == (FOUR, "live")


def test_same_value_stored_again_is_a_new_version_only_in_a_versioned_store(scene: Scene) -> None:
    scene.deploy()
    scene.keep(TOKEN=FIRST["TOKEN"])
    assert scene.deploy().outcome == "unchanged"
    scene.keep(PASSWORD=FIRST["PASSWORD"])
    assert scene.deploy().release == TWO


def test_plan_shows_names_and_versions_only_and_changes_nothing(scene: Scene) -> None:
    scene.deploy()
    scene.keep(PASSWORD=SECOND["PASSWORD"])
    before = [dict(host.files) for host in scene.fleet.hosts]
    lines = plan(scene.command(), scene.context()).lines()
    (first, _) = [line for line in lines if ": write secrets " in line]
    assert "PASSWORD@2" in first
    assert "TOKEN@hmac-" in first
    assert f"(changed since {ONE}: PASSWORD)" in first
    assert not any(value in line for line in lines for value in (*FIRST.values(), SECOND["TOKEN"]))
    assert [dict(host.files) for host in scene.fleet.hosts] == before


def test_rollback_uses_current_values_for_the_names_of_the_older_release(scene: Scene) -> None:
    scene.deploy()
    scene.refs = {**REFS, "NEW": SecretRef("ssm", "/app/new")}
    scene.keep(**SECOND, NEW="something new")
    scene.deploy("two")
    assert scene.secrets() == [{**SECOND, "NEW": "something new"}]
    assert scene.back().release == ONE
    assert scene.secrets() == [SECOND]


def test_deploy_after_a_rollback_uses_current_versions(scene: Scene) -> None:
    scene.deploy()
    scene.keep(**SECOND)
    scene.deploy("two")
    scene.back()
    assert scene.deploy().release == THREE
    assert scene.secrets() == [SECOND]


def test_all_missing_secrets_are_reported_at_once_and_nothing_is_changed(scene: Scene) -> None:
    scene.deploy()
    before = [dict(host.files) for host in scene.fleet.hosts]
    del scene.env.values["CI_TOKEN"]
    scene.manager.put("app/db", '{"name": "no user"}')
    with pytest.raises(MissingSecretsError) as missing:
        scene.deploy("two")
    assert missing.value.exit_code == 2
    assert missing.value.problems == (
        "app.secrets.TOKEN: env CI_TOKEN is not there",
        "app.secrets.USER: secretsmanager app/db has no text field user",
    )
    assert "nothing was changed" in missing.value.message
    assert _unchanged(scene, before)


def test_rollback_to_a_release_whose_secret_is_missing_changes_nothing(scene: Scene) -> None:
    scene.deploy()
    scene.refs = {}
    scene.deploy("two")
    before = [dict(host.files) for host in scene.fleet.hosts]
    scene.env.values.clear()
    with pytest.raises(MissingSecretsError, match=f"a secret is missing for app {ONE}"):
        scene.back()
    assert _unchanged(scene, before)
    assert scene.fleet.served() == [TWO, TWO]


def test_store_that_refuses_changes_nothing(scene: Scene) -> None:
    scene.deploy()
    before = [dict(host.files) for host in scene.fleet.hosts]
    scene.ssm.refuses = True
    with pytest.raises(SecretStoreError, match="set to refuse"):
        scene.deploy("two")
    assert _unchanged(scene, before)


def test_learned_values_are_redacted_and_unknown_ones_are_reported(scene: Scene) -> None:
    resolver = scene.context().secrets
    assert resolver.learn("app", REFS) is None
    assert resolver.redact("-p token-of-the-first") == "-p ***"
    del scene.env.values["CI_TOKEN"]
    resolver = scene.context().secrets
    assert resolver.learn("app", REFS) == "app.secrets.TOKEN: env CI_TOKEN is not there"
    assert resolver.redact("pa$$word 1") == "***"
    scene.ssm.refuses = True
    assert "set to refuse" in (scene.context().secrets.learn("app", REFS) or "")


def test_each_key_is_fetched_once_and_only_if_a_service_names_it(scene: Scene) -> None:
    scene.ssm.put("/nobody/asks", "for this one")
    scene.deploy()
    assert (scene.env.fetched, scene.ssm.fetched, scene.manager.fetched) == (
        ["CI_TOKEN"],
        ["/app/password"],
        ["app/db"],
    )


def test_revert_of_a_failed_deploy_keeps_the_old_values_of_the_old_replicas(
    scene: Scene,
) -> None:
    scene.deploy()
    for host in scene.fleet.hosts:
        host.engine.behaviours[factories.image("bad")] = ContainerBehaviour(healthy_after_s=None)
    scene.keep(**SECOND)
    with pytest.raises(RevertedError):
        scene.deploy("bad")
    assert scene.fleet.served() == [ONE, ONE]
    assert scene.secrets() == [FIRST]
    assert all(host.folders("app") == {ONE} for host in scene.fleet.hosts)


def test_secrets_are_removed_with_their_release(scene: Scene) -> None:
    for number in range(7):
        scene.keep(TOKEN=f"token number {number}")
        scene.deploy()
    texts = b"".join(content for host in scene.fleet.hosts for content in host.files.values())
    assert b"token number 1" not in texts
    assert b"token number 6" in texts


def test_new_host_gets_the_key_of_the_others(scene: Scene) -> None:
    scene.deploy()
    scene.fleet.add("host-3")
    assert scene.deploy().release == ONE
    keys = {host.files[secret_files.KEY] for host in scene.fleet.hosts}
    assert len(keys) == 1


def test_host_with_another_key_gets_the_common_one_with_the_next_release(scene: Scene) -> None:
    scene.deploy()
    scene.fleet["host-2"].files[secret_files.KEY] = b"of another fleet"
    scene.deploy()
    scene.deploy("two")
    keys = {host.files[secret_files.KEY] for host in scene.fleet.hosts}
    assert len(keys) == 1
    assert scene.deploy("two").outcome == "unchanged"


@pytest.mark.parametrize("touch", range(1, 40))
def test_killed_deploy_is_finished_by_the_next_one(touch: int) -> None:
    scene = Scene()
    scene.keep(**FIRST)
    scene.deploy()
    scene.keep(**SECOND)
    scene.fleet.faults.append(Fault("host-1", touch, FaultKind.KILLED))
    try:
        scene.deploy("two")
    except Killed:
        scene.fleet.revive()
        scene.deploy("two")
    assert scene.secrets() == [SECOND]
    assert scene.deploy("two").outcome == "unchanged"


VALUE = st.text(
    st.characters(exclude_characters="\0", codec="utf-8"), min_size=12, max_size=30
).map(lambda text: f"<{text}>")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(VALUE, VALUE, VALUE))
def test_values_appear_nowhere_but_in_the_secret_files(values: tuple[str, str, str]) -> None:
    scene = Scene()
    fleet = scene.fleet
    argvs: list[str] = []
    _listen(fleet, argvs.append)
    named = dict(zip(REFS, values, strict=True))
    scene.keep(**named)
    scene.deploy(why=f"because of {values[0]}")
    scene.keep(**{name: value[::-1] for name, value in named.items()})
    scene.deploy("two")
    scene.back()
    secret = [*values, *(value[::-1] for value in values)]
    texts = [
        *argvs,
        *(repr(event) for event in scene.events),
        *(line for event in scene.events for line in _lines(event)),
        *(
            content.decode()
            for host in fleet.hosts
            for path, content in host.files.items()
            if "/secrets/" not in path
        ),
        *(host.files[locks.LEDGER].decode() for host in fleet.hosts),
    ]
    forms = [
        form for value in secret for form in (value, json.dumps(value)[1:-1], repr(value)[1:-1])
    ]
    assert [form for form in forms if any(form in text for text in texts)] == []
    assert scene.secrets() == [{name: value[::-1] for name, value in named.items()}]


def _listen(fleet: Fleet, keep: Callable[[str], None]) -> None:
    """Passes every word of every command that a host runs to `keep`."""
    for host in fleet.hosts:
        run = host.run

        def listening(argv, *, _run=run, **more):  # type: ignore[no-untyped-def]
            for word in argv:
                keep(word)
            return _run(argv, **more)

        host.run = listening  # type: ignore[method-assign]


def _lines(event: Event) -> tuple[str, ...]:
    step = getattr(event, "step", None)
    found = getattr(event, "plan", None)
    return (
        *((describe(step),) if step else ()),
        *(found.lines() if found else ()),
    )


def _unchanged(scene: Scene, before: list[dict[str, bytes]]) -> bool:
    def changed(host: MemoryHost, files: dict[str, bytes]) -> set[str]:
        return {path for path, text in host.files.items() if files.get(path) != text}

    lock = {locks.TOKEN, locks.HOLDER}
    return all(
        changed(host, files) <= lock for host, files in zip(scene.fleet.hosts, before, strict=True)
    )
