"""Deploys of services with secrets over simulated hosts: who gets a value, who never sees one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.core.commands import locks, secret_files
from deploy.core.config import SecretRef
from deploy.core.planning.step_lines import describe
from deploy.core.state.redaction import Redaction
from deploy.errors import MissingSecretsError, SecretStoreError
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    Outcome,
    RevertedError,
    RollbackCommand,
    confirm,
    deploy,
    plan,
    rollback,
)
from deploy.run.rollout.events import Event
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

ONE, TWO, THREE, FOUR = (f"r00000{number}-3f9c2ab" for number in (1, 2, 3, 4))
REFS = {
    "TOKEN": SecretRef("env", "CI_TOKEN"),
    "PASSWORD": SecretRef("ssm", "/app/password", into="env"),
    "USER": SecretRef("secretsmanager", "app/db", field="user"),
}
FIRST = {"TOKEN": "token-of-the-first", "PASSWORD": "pa$$word 1", "USER": "somebody-1"}
SECOND = {"TOKEN": "token-of-the-second", "PASSWORD": "pa$$word 2", "USER": "somebody-2"}


@dataclass
class Field:
    """A fleet and the stores that its deployers ask."""

    fleet: Fleet = field(default_factory=lambda: Fleet.of("host-1", "host-2"))
    env: MemoryStore = field(default_factory=MemoryStore)
    ssm: MemoryStore = field(default_factory=lambda: MemoryStore(versioned=True))
    manager: MemoryStore = field(default_factory=lambda: MemoryStore(versioned=True))
    told: list[Event] = field(default_factory=list)
    refs: dict[str, SecretRef] = field(default_factory=lambda: dict(REFS))

    def keep(self, **values: str) -> None:
        """Puts values where the service names them."""
        for name, value in values.items():
            match self.refs[name]:
                case SecretRef(store="env", key=key):
                    self.env.put(key, value)
                case SecretRef(store="ssm", key=key):
                    self.ssm.put(key, value)
                case SecretRef(key=key, field=stack):
                    self.manager.put(key, json.dumps({stack: value, "other": "thing"}))

    def context(self) -> DeployContext:
        """The world of a new process, which has asked for nothing yet."""
        stores = {"env": self.env, "ssm": self.ssm, "secretsmanager": self.manager}
        fleet = self.fleet
        vault = SecretResolver(stores, Redaction())
        environment = fleet.environment()
        return DeployContext(
            environment, fleet.hosts, fleet.registry, fleet, fleet.clock, vault=vault
        )

    def request(self, label: str = "one", *, why: str = "") -> DeployCommand:
        service = replace(factories.service(replicas=2), secrets=self.refs)
        origin = replace(factories.ORIGIN, why=why)
        request = DeployCommand(
            service, factories.image(label), factories.REPLICA, factories.stacks(), origin
        )
        self.fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
        return request

    def deploy(self, label: str = "one", *, why: str = "") -> Outcome:
        try:
            return deploy(self.request(label, why=why), self.context(), self.told.append)
        finally:
            assert self.fleet.violations == []

    def back(self, to: str = "") -> Outcome:
        request = RollbackCommand(self.request().service, factories.ORIGIN, to)
        return rollback(request, self.context(), self.told.append)

    def seen(self) -> list[dict[str, str]]:
        """What each replica sees, where all of them see the same: once a distinct view."""
        views = [
            host.secrets_of(container)
            for host in self.fleet.hosts
            for container in host.engine.containers.values()
            if container.has_check
        ]
        return [view for at, view in enumerate(views) if view not in views[:at]]


@pytest.fixture
def there() -> Field:
    found = Field()
    found.keep(**FIRST)
    return found


def test_every_replica_gets_them(there: Field) -> None:
    assert there.deploy().release == ONE
    assert there.seen() == [FIRST]


def test_the_same_again_is_nothing_to_do(there: Field) -> None:
    there.deploy()
    assert there.deploy().outcome == "unchanged"


@pytest.mark.parametrize("name", REFS)
def test_another_value_is_a_new_release_of_the_same_image(there: Field, name: str) -> None:
    there.deploy()
    there.keep(**{name: SECOND[name]})
    outcome = there.deploy()
    assert (outcome.release, outcome.outcome) == (TWO, "live")
    assert there.seen() == [{**FIRST, name: SECOND[name]}]
    assert there.deploy().outcome == "unchanged"


def test_to_confirm_looks_at_the_names_of_secrets_and_not_at_their_versions(there: Field) -> None:
    """GitLab's Rollback button runs an old job again, whose release had the secrets of that day."""
    there.deploy()
    there.deploy("two")
    there.keep(**SECOND)
    there.deploy("two")

    def confirmed(label: str) -> tuple[str, str]:
        outcome = confirm(there.request(label), there.context(), there.told.append)
        return outcome.release, outcome.outcome

    assert confirmed("two") == (THREE, "unchanged")
    assert confirmed("one") == (ONE, "live")
    assert there.seen() == [SECOND]
    there.refs = {name: ref for name, ref in REFS.items() if name != "USER"}
    assert confirmed("one") == (FOUR, "live")


def test_the_same_value_put_again_is_another_version_where_the_store_says_so(there: Field) -> None:
    there.deploy()
    there.keep(TOKEN=FIRST["TOKEN"])
    assert there.deploy().outcome == "unchanged"
    there.keep(PASSWORD=FIRST["PASSWORD"])
    assert there.deploy().release == TWO


def test_a_plan_shows_names_and_versions_only_and_keeps_nothing(there: Field) -> None:
    there.deploy()
    there.keep(PASSWORD=SECOND["PASSWORD"])
    before = [dict(host.files) for host in there.fleet.hosts]
    lines = plan(there.request(), there.context()).lines()
    (first, _) = [line for line in lines if "WriteSecrets" in line]
    assert "PASSWORD@2" in first
    assert "TOKEN@hmac-" in first
    assert f"(other than in {ONE}: PASSWORD)" in first
    assert not any(value in line for line in lines for value in (*FIRST.values(), SECOND["TOKEN"]))
    assert [dict(host.files) for host in there.fleet.hosts] == before


def test_a_rollback_brings_today_s_values_to_the_names_of_then(there: Field) -> None:
    there.deploy()
    there.refs = {**REFS, "NEW": SecretRef("ssm", "/app/new")}
    there.keep(**SECOND, NEW="something new")
    there.deploy("two")
    assert there.seen() == [{**SECOND, "NEW": "something new"}]
    assert there.back().release == ONE
    assert there.seen() == [SECOND]


def test_after_a_rollback_the_next_deploy_is_of_today_s_versions(there: Field) -> None:
    there.deploy()
    there.keep(**SECOND)
    there.deploy("two")
    there.back()
    assert there.deploy().release == THREE
    assert there.seen() == [SECOND]


def test_all_that_is_missing_is_told_at_once_and_nothing_is_touched(there: Field) -> None:
    there.deploy()
    before = [dict(host.files) for host in there.fleet.hosts]
    del there.env.values["CI_TOKEN"]
    there.manager.put("app/db", '{"name": "no user"}')
    with pytest.raises(MissingSecretsError) as missing:
        there.deploy("two")
    assert missing.value.exit_code == 2
    assert missing.value.problems == (
        "app.secrets.TOKEN: env CI_TOKEN is not there",
        "app.secrets.USER: secretsmanager app/db has no text field user",
    )
    assert "nothing was touched" in missing.value.message
    assert _untouched(there, before)


def test_a_rollback_to_what_needs_a_secret_that_is_gone_touches_nothing(there: Field) -> None:
    there.deploy()
    there.refs = {}
    there.deploy("two")
    before = [dict(host.files) for host in there.fleet.hosts]
    there.env.values.clear()
    with pytest.raises(MissingSecretsError, match=f"a secret is missing for app {ONE}"):
        there.back()
    assert _untouched(there, before)
    assert there.fleet.served() == [TWO, TWO]


def test_a_store_that_refuses_touches_nothing(there: Field) -> None:
    there.deploy()
    before = [dict(host.files) for host in there.fleet.hosts]
    there.ssm.refuses = True
    with pytest.raises(SecretStoreError, match="set to refuse"):
        there.deploy("two")
    assert _untouched(there, before)


def test_values_are_learned_to_be_taken_out_of_a_text_or_it_is_told_why_not(there: Field) -> None:
    vault = there.context().vault
    assert vault.learn("app", REFS) == ""
    assert vault.redact("-p token-of-the-first") == "-p ***"
    del there.env.values["CI_TOKEN"]
    vault = there.context().vault
    assert vault.learn("app", REFS) == "app.secrets.TOKEN: env CI_TOKEN is not there"
    assert vault.redact("pa$$word 1") == "***"
    there.ssm.refuses = True
    assert "set to refuse" in there.context().vault.learn("app", REFS)


def test_a_store_is_asked_once_a_key_and_only_for_what_is_named(there: Field) -> None:
    there.ssm.put("/nobody/asks", "for this one")
    there.deploy()
    assert (there.env.fetched, there.ssm.fetched, there.manager.fetched) == (
        ["CI_TOKEN"],
        ["/app/password"],
        ["app/db"],
    )


def test_the_way_back_of_a_failed_deploy_leaves_the_old_values_with_the_old_replicas(
    there: Field,
) -> None:
    there.deploy()
    for host in there.fleet.hosts:
        host.engine.behaviours[factories.image("bad")] = ContainerBehaviour(healthy_after_s=None)
    there.keep(**SECOND)
    with pytest.raises(RevertedError):
        there.deploy("bad")
    assert there.fleet.served() == [ONE, ONE]
    assert there.seen() == [FIRST]
    assert all(host.folders("app") == {ONE} for host in there.fleet.hosts)


def test_they_go_with_their_release(there: Field) -> None:
    for number in range(7):
        there.keep(TOKEN=f"token number {number}")
        there.deploy()
    texts = b"".join(content for host in there.fleet.hosts for content in host.files.values())
    assert b"token number 1" not in texts
    assert b"token number 6" in texts


def test_hosts_share_the_key_and_a_new_one_is_given_it(there: Field) -> None:
    there.deploy()
    there.fleet.add("host-3")
    assert there.deploy().release == ONE
    keys = {host.files[secret_files.KEY] for host in there.fleet.hosts}
    assert len(keys) == 1


def test_a_host_from_elsewhere_takes_the_key_of_the_others_within_a_release(there: Field) -> None:
    there.deploy()
    there.fleet["host-2"].files[secret_files.KEY] = b"of another fleet"
    there.deploy()
    there.deploy("two")
    keys = {host.files[secret_files.KEY] for host in there.fleet.hosts}
    assert len(keys) == 1
    assert there.deploy("two").outcome == "unchanged"


@pytest.mark.parametrize("touch", range(1, 40))
def test_a_deploy_that_is_killed_anywhere_is_finished_by_the_next(touch: int) -> None:
    there = Field()
    there.keep(**FIRST)
    there.deploy()
    there.keep(**SECOND)
    there.fleet.faults.append(Fault("host-1", touch, FaultKind.KILLED))
    try:
        there.deploy("two")
    except Killed:
        there.fleet.revive()
        there.deploy("two")
    assert there.seen() == [SECOND]
    assert there.deploy("two").outcome == "unchanged"


VALUE = st.text(
    st.characters(exclude_characters="\0", codec="utf-8"), min_size=12, max_size=30
).map(lambda text: f"<{text}>")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(VALUE, VALUE, VALUE))
def test_no_value_is_anywhere_but_where_it_belongs(values: tuple[str, str, str]) -> None:
    there = Field()
    fleet = there.fleet
    argvs: list[str] = []
    _listen(fleet, argvs.append)
    named = dict(zip(REFS, values, strict=True))
    there.keep(**named)
    there.deploy(why=f"because of {values[0]}")
    there.keep(**{name: value[::-1] for name, value in named.items()})
    there.deploy("two")
    there.back()
    secret = [*values, *(value[::-1] for value in values)]
    texts = [
        *argvs,
        *(repr(event) for event in there.told),
        *(line for event in there.told for line in _lines(event)),
        *(
            content.decode()
            for host in fleet.hosts
            for path, content in host.files.items()
            if "/secrets/" not in path
        ),
        *(host.files[locks.LEDGER].decode() for host in fleet.hosts),
    ]
    shapes = [
        shape for value in secret for shape in (value, json.dumps(value)[1:-1], repr(value)[1:-1])
    ]
    assert [shape for shape in shapes if any(shape in text for text in texts)] == []
    assert there.seen() == [{name: value[::-1] for name, value in named.items()}]


def _listen(fleet: Fleet, keep: Callable[[str], None]) -> None:
    """Keeps every word of every command that a host is told to run."""
    for host in fleet.hosts:
        run = host.run

        def heard(argv, *, _run=run, **more):  # type: ignore[no-untyped-def]
            for word in argv:
                keep(word)
            return _run(argv, **more)

        host.run = heard  # type: ignore[method-assign]


def _lines(event: Event) -> tuple[str, ...]:
    step = getattr(event, "step", None)
    found = getattr(event, "plan", None)
    return (
        *((describe(step),) if step else ()),
        *(found.lines() if found else ()),
    )


def _untouched(there: Field, before: list[dict[str, bytes]]) -> bool:
    def changed(host: MemoryHost, files: dict[str, bytes]) -> set[str]:
        return {path for path, text in host.files.items() if files.get(path) != text}

    lock = {locks.TOKEN, locks.HOLDER}
    return all(
        changed(host, files) <= lock for host, files in zip(there.fleet.hosts, before, strict=True)
    )
